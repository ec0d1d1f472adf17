"""The cloud under study: four small services and the chassis and policies they share."""

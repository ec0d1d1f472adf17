"""The cloud under study: four small services with a common chassis and common policies."""

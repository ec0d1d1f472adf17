"""What a run leaves: samples, series, events, files, and how they are read back."""

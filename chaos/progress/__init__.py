"""Progress of a run: current figures, terminal display, events in words."""

"""The record of a run: samples, series, events, files, and how they are read."""

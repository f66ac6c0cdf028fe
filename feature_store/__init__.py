"""Features, correct in time: sources, a lake, as-of joins, windows, labels and training sets."""

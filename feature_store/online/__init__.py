"""The newest values of features, ready to be read while somebody waits; import from the modules."""

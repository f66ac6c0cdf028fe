"""What a model file says: sources, spines, feature views, and what is expected of them."""

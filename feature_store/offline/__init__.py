"""Questions, features, labels and training sets, answered from the lake."""

"""The scoring server: MLflow's answers byte for byte, cheaper, several models and versions in one process."""

"""A fitted pipeline as arrays and one kernel, used only where its answers are the pipeline's, bit for bit."""

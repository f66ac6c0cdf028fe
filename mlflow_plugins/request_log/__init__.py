"""The request log: what was asked and answered, from a worker's memory to the lake."""

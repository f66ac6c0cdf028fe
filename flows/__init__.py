"""The loop itself: the spec of a model, the flows that keep it, and replay. The only room that imports Prefect."""

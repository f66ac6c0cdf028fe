"""The loop's words and decisions: plain values and pure functions, standard library only."""

"""Rows on their way into the lake: read, made comparable, validated, appended or kept apart."""

"""The loop over history: backfill into the real registry, replay into a temporary one, policies side by side."""

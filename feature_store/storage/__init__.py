"""The lake: tables that only grow, and what was known of a source at a moment."""

"""As-of joins and windows over rows as they were known when the question was asked."""

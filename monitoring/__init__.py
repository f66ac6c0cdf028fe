"""What is happening: drift from the reference window, labels on their way, realised performance, and reports."""

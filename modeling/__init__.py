"""From a frame to a judged model: split by time, fit candidates, compare on the same rows, explain, save."""

"""Sessions that run networks, and the truth about where they run."""

"""Thin nodes, one per file: they wire topics to the pipeline."""

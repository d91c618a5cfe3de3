"""Readers of recorded drives, behind one iterator of frame sets."""

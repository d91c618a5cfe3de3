"""Recorded drives in other formats, one file each; `datasets.source` opens them by name."""

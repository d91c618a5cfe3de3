"""The ``depth_perception`` command: one file per verb."""

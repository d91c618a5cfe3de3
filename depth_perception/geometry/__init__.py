"""Cameras, poses, ground plane, embodied depth, back-projection, bird's-eye view."""

"""From a scene to what a camera sees of it, with exact truth."""

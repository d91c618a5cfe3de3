"""The synthetic surround world: a street, a rig that drives along it, exact depth and labels."""

"""The street: its road, its ground, its light, and what is placed along it."""

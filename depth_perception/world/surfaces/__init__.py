"""What surfaces look like: materials, and the textures that they wear."""

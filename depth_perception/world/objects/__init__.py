"""Everything that stands or moves in a street, as meshes."""

"""Ways from images to depth behind one interface: embodied, fused, relative."""

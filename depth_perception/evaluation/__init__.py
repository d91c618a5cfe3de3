"""How good is the depth: LiDAR truth, metrics, evaluation of a bag, pictures and the report."""

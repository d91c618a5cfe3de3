"""How good is the depth: LiDAR and exact truth, metrics, evaluation of a bag, pictures, report."""

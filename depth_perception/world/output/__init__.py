"""What leaves the world: rigs and their sensors, drives as bags, data sets as shards."""

"""How long things take here: ``python -m depth_perception.benchmarks`` or ``make bench``."""

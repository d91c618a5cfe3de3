"""Run every benchmark: ``python -m depth_perception.benchmarks`` or ``make bench``."""

import sys

from depth_perception.benchmarks.stages import main

if __name__ == "__main__":
    sys.exit(main())

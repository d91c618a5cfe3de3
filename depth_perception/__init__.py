"""Metric depth and a bird's-eye-view point cloud from the cameras around a vehicle."""

from pkgutil import extend_path

# The compiled messages (`depth_perception.msg`) are installed by colcon. Extending the path finds
# them also when Python runs from the source tree, whose own folder has no `msg`.
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"

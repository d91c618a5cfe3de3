"""Depth without labels on reflective surfaces, by intrinsic decomposition (arXiv 2503.22209)."""

from depth_perception.training.systems.intrinsic.system import Training, load

__all__ = ["Training", "load"]

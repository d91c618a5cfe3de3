"""Training of the fused network itself."""

from depth_perception.training.systems.fused.system import Training

__all__ = ["Training"]

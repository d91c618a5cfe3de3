"""Training of the fused network itself."""

from depth_perception.training.systems.fused.system import Training, fused_loss

__all__ = ["Training", "fused_loss"]

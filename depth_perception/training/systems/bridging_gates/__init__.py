"""BriGeS: gates that bring semantics into a frozen depth network (arXiv 2505.23400)."""

from depth_perception.training.systems.bridging_gates.system import Training, load

__all__ = ["Training", "load"]

"""Surround distillation: the fused network learns from a teacher of depth (arXiv 2512.08700)."""

from depth_perception.training.systems.surround_distillation.system import Training, load

__all__ = ["Training", "load"]

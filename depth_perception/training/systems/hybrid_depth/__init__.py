"""Hybrid-depth: self-supervised depth with CLIP and DINO (arXiv 2510.09320)."""

from depth_perception.training.systems.hybrid_depth.runs import load, predict
from depth_perception.training.systems.hybrid_depth.system import Training

__all__ = ["Training", "load", "predict"]

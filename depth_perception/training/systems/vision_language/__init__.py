"""Vision-Language Embodiment: embodied depth and sentences beside the image (arXiv 2503.16535)."""

from depth_perception.training.systems.vision_language.system import Training, load, sample_depths

__all__ = ["Training", "load", "sample_depths"]

"""Topics of the exact truth that a bag of the synthetic world carries beside its cameras."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def exact_topics(topics: Mapping[str, str], cameras: Iterable[str]) -> list[str]:
    """Name the topics of truth depth that a bag has for its cameras, and their label images."""
    found = []
    for camera in cameras:
        if _depth_topic(camera) in topics:
            found += [_depth_topic(camera), _label_topic(camera)]
    return [topic for topic in found if topic in topics]


def _depth_topic(camera: str) -> str:
    return f"/truth/{camera}/depth"


def _label_topic(camera: str) -> str:
    return f"/{camera}/labels"

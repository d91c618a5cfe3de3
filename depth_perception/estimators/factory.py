"""From parameters to an estimator. Networks are imported when they are asked for."""

from __future__ import annotations

from depth_perception.errors import ConfigurationError
from depth_perception.estimators.embodied import EmbodiedEstimator
from depth_perception.estimators.estimator import Estimator
from depth_perception.parameters import Parameters, SegmentationParameters
from depth_perception.segmentation.sources import Log, SurfaceSource, make_source


def make_estimator(
    parameters: Parameters, log: Log, source: SurfaceSource | None = None
) -> Estimator:
    """Make the estimator that the parameters ask for.

    Args:
        parameters: All parameters.
        log: Receives warnings.
        source: Where the road is; chosen by the parameters when None.

    Raises:
        ConfigurationError, ModelError: A file is absent or impossible, or a GPU that is required
            is not used.
    """
    segmentation = parameters.segmentation
    if parameters.estimator == "fused":
        from depth_perception.estimators.fused import FusedEstimator

        if source is None and not _by_network(segmentation):
            source = make_source(segmentation, log)
        return FusedEstimator(parameters, source)
    if segmentation.source == "network":
        raise ConfigurationError(
            f"segmentation.source is network, estimator is {parameters.estimator}",
            expected="estimator fused, whose network also finds the road",
            fix="set estimator: fused, or another segmentation.source",
        )
    source = source or make_source(segmentation, log)
    if parameters.estimator == "relative":
        from depth_perception.estimators.relative import RelativeEstimator

        return RelativeEstimator(parameters, source)
    return EmbodiedEstimator(parameters, source)


def _by_network(parameters: SegmentationParameters) -> bool:
    """Whether the road comes from the depth network itself."""
    named = parameters.model or parameters.labels_folder or parameters.labels_topic
    return parameters.source == "network" or (parameters.source == "auto" and not named)

# Copyright 2026 depth_perception contributors
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""From parameters to an estimator. Networks are imported when they are asked for."""

from __future__ import annotations

from depth_perception.estimators.embodied import EmbodiedEstimator
from depth_perception.estimators.estimator import Estimator
from depth_perception.estimators.named_files import by_network, check_source
from depth_perception.parameters import Parameters
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

        if source is None and not by_network(segmentation):
            source = make_source(segmentation, log)
        return FusedEstimator(parameters, source, log)
    check_source(parameters)
    source = source or make_source(segmentation, log)
    if parameters.estimator == "relative":
        from depth_perception.estimators.relative import RelativeEstimator

        return RelativeEstimator(parameters, source, log)
    return EmbodiedEstimator(parameters, source)

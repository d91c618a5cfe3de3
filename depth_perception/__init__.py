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

"""Metric depth and a bird's-eye-view point cloud from the cameras around a vehicle."""

from pkgutil import extend_path

# The compiled messages (`depth_perception.msg`) are installed by colcon. Extending the path finds
# them also when Python runs from the source tree, whose own folder has no `msg`.
__path__ = extend_path(__path__, __name__)

__version__ = "0.2.0"

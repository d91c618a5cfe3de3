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

"""Write config/foxglove.json and config/foxglove/ anew, after a change of topics or of a rig."""

from __future__ import annotations

import json
from pathlib import Path

from depth_perception.viewing.foxglove import shipped_layouts

CONFIG = Path(__file__).resolve().parents[1] / "config"

if __name__ == "__main__":
    for name, layout in shipped_layouts().items():
        path = CONFIG / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(layout, indent=1) + "\n", encoding="utf-8")

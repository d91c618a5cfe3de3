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

"""The benchmark of frame sets: its images are what it says, and the own assembler keeps them."""

from __future__ import annotations

from depth_perception.benchmarks.frame_sets import INSTANTS, SCENARIOS, assemblers, run, traffic

CAMERAS = [f"camera_{index}" for index in range(6)]


def test_images_are_those_of_the_scenario() -> None:
    nothing, some, dead = (traffic(CAMERAS, scenario) for scenario in SCENARIOS)
    assert len(nothing.images) == 6 * INSTANTS
    assert nothing.possible == nothing.complete == INSTANTS
    assert 0.92 < len(some.images) / (6 * INSTANTS) < 0.98 and some.complete < INSTANTS
    assert len(dead.images) == 6 * INSTANTS - 200 and dead.complete == 100
    assert [image.at for image in some.images] == sorted(image.at for image in some.images)


def test_own_assembler_loses_no_set() -> None:
    for scenario in SCENARIOS:
        sent = traffic(CAMERAS, scenario)
        result = run(assemblers()["own"], CAMERAS, sent)
        assert (result["sets"], result["complete"]) == (sent.possible, sent.complete)

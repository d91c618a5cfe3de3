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

"""A folder of data says which format it has; another one is refused with the fix."""

import json

import pytest

from depth_perception.datasets.manifest import read_checked_manifest
from depth_perception.datasets.sample import DatasetError


def read(folder):
    return read_checked_manifest(folder, "colours", 2, maker="the painter", make="paint them")


def test_a_manifest_of_the_right_format_is_given_whole(tmp_path):
    written = {"format": "colours", "version": 2, "count": 7}
    (tmp_path / "manifest.json").write_text(json.dumps(written))
    assert read(tmp_path) == written


@pytest.mark.parametrize(
    ("text", "problem", "fix"),
    [
        (None, "has no manifest.json", "correct the path, or paint them"),
        ("{", "is damaged", "delete the folder and paint them again"),
        ("[]", "is of another kind", ""),
        ('{"format": "sounds", "version": 2}', "is of another kind", ""),
        ('{"format": "colours", "version": 1}', "has format version 1", "paint them again"),
    ],
)
def test_another_manifest_is_refused_with_the_fix(tmp_path, text, problem, fix):
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DatasetError) as caught:
        read(tmp_path)
    assert problem in caught.value.problem
    assert fix in caught.value.fix

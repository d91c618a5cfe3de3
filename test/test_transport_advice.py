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

"""What the doctor makes of a machine's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from depth_perception.resources import config_file
from depth_perception.transport.advice import (
    CYCLONE,
    mebibytes,
    of_kernel,
    of_middleware,
    of_profile,
    of_settings,
    of_shared_memory,
)

FAST = "rmw_fastrtps_cpp"
SET_BYTES = 6 * 4_320_000


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Make the kernel settings of an ordinary Linux."""
    for name, value in (
        ("net/core/rmem_max", 212992),
        ("net/ipv4/ipfrag_high_thresh", 4194304),
        ("net/ipv4/ipfrag_time", 30),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    return tmp_path


def test_small_kernel_buffers_are_a_fault_only_where_images_go_through_them(proc: Path) -> None:
    fixes = [finding.fix for finding in of_kernel(True, proc)]
    assert fixes == [
        "sysctl -w net.core.rmem_max=2147483647",
        "sysctl -w net.ipv4.ipfrag_high_thresh=134217728",
        "sysctl -w net.ipv4.ipfrag_time=3",
    ]
    assert not any(finding.fix for finding in of_kernel(False, proc))


def test_settings_that_a_container_hides_are_no_fault(tmp_path: Path) -> None:
    findings = of_kernel(True, tmp_path)
    assert not any(finding.fix for finding in findings) and "not shown" in findings[0].seen


def test_our_profile_holds_six_large_cameras() -> None:
    finding = of_profile(FAST, str(config_file("fastdds.xml")), SET_BYTES)
    assert not finding.fix and "256 MiB" in finding.seen


def test_no_profile_and_a_small_or_broken_one_are_faults(tmp_path: Path) -> None:
    assert "fastdds_profile:=auto" in of_profile(FAST, "", SET_BYTES).fix
    small = tmp_path / "small.xml"
    small.write_text("<dds><profiles><segment_size>1048576</segment_size></profiles></dds>")
    assert "raise segment_size" in of_profile(FAST, str(small), SET_BYTES).fix
    small.write_text("<dds>")
    assert "cannot be read" in of_profile(FAST, str(small), SET_BYTES).seen


def test_missing_shared_memory_is_named(tmp_path: Path) -> None:
    finding = of_shared_memory(FAST, tmp_path / "absent")
    assert "cannot be read" in finding.seen and finding.fix


def test_cyclone_needs_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CYCLONEDDS_URI", raising=False)
    assert "CYCLONEDDS_URI" in of_middleware(CYCLONE).fix
    monkeypatch.setenv("CYCLONEDDS_URI", "/etc/cyclone.xml")
    assert not of_middleware(CYCLONE).fix
    assert "not known" in of_middleware("rmw_zenoh_cpp").seen
    subjects = [finding.subject for finding in of_settings(CYCLONE, "", SET_BYTES)]
    assert "Fast DDS profile" not in subjects


def test_bytes_for_people() -> None:
    assert [mebibytes(n) for n in (0, 256 * 2**20, 3 * 2**29)] == ["0 MiB", "256 MiB", "1.5 GiB"]

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

"""Systems train in two processes that share their gradients, as torchrun would start them."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="PyTorch trains")
pytest.importorskip("efficientnet_lite_pytorch", reason="the image encoder's wheel")

import torch
import yaml
from tiny_datasets import HEIGHT, mounted, plane_drive, write_kitti

STEPS = 2
LITTLE = {"pretrained": False, "widths": [8, 8, 16, 16], "bins": 8}
CONFIGURATIONS = {
    "fused": {"system": "fused", "network": LITTLE},
    "taught": {
        "system": "surround_distillation",
        "network": LITTLE,
        "options": {"cameras": 1, "vrkd": 0, "most": 1},
    },
    "bridged": {"system": "bridging_gates", "options": {"most": 1}},
    "intrinsic": {"system": "intrinsic", "network": LITTLE, "options": {"most": 1, "warm_up": 0}},
    "single": {
        "system": "hybrid_depth",
        "options": {"encoder": "convolutional", "language": False, "pretrained": False, "most": 1},
    },
    "several": {
        "system": "hybrid_depth",
        "options": {
            "encoder": "convolutional",
            "language": False,
            "pretrained": False,
            "most": 1,
            "pipeline": "multi_frame",
            "posed": True,
            "planes": 8,
        },
    },
}
# Vision-Language Embodiment has a test of its own: its steps leave some weights without gradients.

RUNS = """
import os, sys
from pathlib import Path
from depth_perception.training import systems
from depth_perception.training.recipe import read
from depth_perception.training.fit import train
folder, ports = Path(sys.argv[1]), sys.argv[2:]
for path, port in zip(sorted(folder.glob("*.yaml")), ports, strict=True):
    os.environ["MASTER_PORT"] = port
    configuration = read(path)
    train(systems.find(configuration.system), configuration, path.with_suffix(""), device="cpu")
"""


def _free_ports(count: int) -> list[str]:
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [str(each.getsockname()[1]) for each in held]


@pytest.mark.long
def test_systems_train_in_two_processes(tmp_path):
    drive = plane_drive({"front": mounted(0.0, 1.5, 0.0, HEIGHT)}, frames=5)
    source = f"kitti_raw:{write_kitti(tmp_path / 'kitti', drive)}"
    common = {
        "data": {"folders": [source], "validation": source, "sizes": [[96, 64]], "workers": 0},
        "schedule": {"steps": STEPS, "batch": 1, "warm_up": 1},
    }
    for name, configuration in CONFIGURATIONS.items():
        text = yaml.safe_dump({**common, **configuration})
        (tmp_path / f"{name}.yaml").write_text(text)
    script = tmp_path / "runs.py"
    script.write_text(RUNS)
    ports = _free_ports(len(CONFIGURATIONS))
    usual = {**os.environ, "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, str(script), str(tmp_path), *ports],
                    text=True,
                    env={**usual, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                )
            )
            for rank in range(2)
        ]
        try:
            for process in processes:
                said, _ = process.communicate(timeout=1500)
                assert process.returncode == 0, said
        finally:
            for process in processes:
                process.kill()
    for name in CONFIGURATIONS:
        assert torch.load(tmp_path / name / "last.pt", weights_only=True)["step"] == STEPS
        lines = (tmp_path / name / "log.jsonl").read_text().splitlines()
        kinds = [json.loads(line)["kind"] for line in lines]
        assert kinds == ["train", "validation"]  # one process writes
        assert (tmp_path / name / "weights.pt").exists()

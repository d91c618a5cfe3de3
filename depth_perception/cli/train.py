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

"""Train a system as a YAML file says, or go on with a run that was stopped.

    depth_perception world --dataset data/train --frames 1500
    depth_perception train config/training/fused_lite.yaml --output runs/lite

Ctrl-C finishes the step, saves and ends; the same command goes on. On several GPUs:
torchrun --nproc-per-node 4 -m depth_perception.cli.main train CONFIG --output DIR
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from depth_perception.cli.arguments import assignments
from depth_perception.cli.destinations import check_folder
from depth_perception.resources import config_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("config", help="YAML file, or the name of one in config/training")
    parser.add_argument("--output", "-o", required=True, metavar="DIR", help="folder of the run")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a value, e.g. schedule.steps=100",
    )
    parser.add_argument("--device", default="", help="cpu or cuda (default: a GPU if there is one)")


def run(options: argparse.Namespace) -> int:
    """Run the verb."""
    from depth_perception.cli.extras import load_extras
    from depth_perception.yaml_mapping import read_yaml_mapping

    overrides = assignments(options.set, "schedule.steps=100")
    # Before PyTorch is loaded, which takes its time.
    config = _configuration(options.config)
    read_yaml_mapping(config, "training configuration", "see config/training")
    check_folder("--output", options.output)
    load_extras("training", "torch", "depth_perception.training")
    from depth_perception.training import recipe, systems
    from depth_perception.training.fit import train

    chosen = recipe.read(config, overrides)
    figures = train(
        systems.find(chosen.system),
        chosen,
        options.output,
        device=options.device,
        say=_say,
        facts=systems.facts(),
    )
    for name, value in figures.items():
        print(f"{name}: {value:.4f}")
    print(f"weights: {options.output}/weights.pt")
    return 0


def _configuration(name: str) -> Path:
    """Find a configuration by its path, or one of config/training by its bare name.

    Raises:
        ConfigurationError: A bare name that config/training does not have; lists what there is.
    """
    path = Path(os.path.expanduser(name))
    if path.is_file() or path.name != name or not name.strip():
        return path
    return config_file(f"training/{path.stem}.yaml")


def _say(text: str) -> None:
    print(text, flush=True)

"""Train a system as a YAML file says, or go on with a run that was stopped.

    depth_perception world --dataset data/train --frames 1500
    depth_perception train config/training/fused_lite.yaml --output runs/lite

Ctrl-C finishes the step, saves and ends; the same command goes on. On several GPUs:
torchrun --nproc-per-node 4 -m depth_perception.cli.main train CONFIG --output DIR
"""

from __future__ import annotations

import argparse

from depth_perception.cli.arguments import assignments
from depth_perception.cli.destinations import check_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("config", help="YAML file, see config/training")
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
    read_yaml_mapping(options.config, "training configuration", "see config/training")
    check_folder("--output", options.output)
    load_extras("training", "torch", "depth_perception.training")
    from depth_perception.training import recipe, systems
    from depth_perception.training.fit import train

    chosen = recipe.read(options.config, overrides)
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


def _say(text: str) -> None:
    print(text, flush=True)

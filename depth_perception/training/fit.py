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

"""The training loop: any system, on CPU or GPUs, resumable at any step.

A run has a folder: `configuration.yaml`, `last.pt` (everything needed to go on), `weights.pt` (the
averaged weights, to be used), `log.jsonl` (a line for each report), and TensorBoard's events.
torchrun starts one process for each GPU; gradients are averaged, rank 0 writes.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from depth_perception.datasets.source import open_source
from depth_perception.errors import ConfigurationError, ModelError
from depth_perception.network.checkpoint import current_keys, current_settings
from depth_perception.training.configuration import TrainingConfiguration, to_dict
from depth_perception.training.device import choose_device
from depth_perception.training.samples import Requests, TrainingImages, collate
from depth_perception.training.scoring import held_out
from depth_perception.training.system import Batch, System

REPORT_EVERY = 50
SPEAK_EVERY_S = 10.0


def learning_rate(step: int, steps: int, warm_up: int) -> float:
    """Share of the highest rate: a line up, then a cosine down to 1 %."""
    if step < warm_up:
        return (step + 1) / warm_up
    done = (step - warm_up) / max(steps - warm_up, 1)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def running_average(keep: float) -> Callable[..., None]:
    """Rule for `AveragedModel`: a running average that follows the weights fast at first.

    Args:
        keep: Share that the average keeps each step, later on.
    """

    def update(average: list[torch.Tensor], new: list[torch.Tensor], count: torch.Tensor) -> None:
        if average[0].is_floating_point():
            torch._foreach_lerp_(average, new, 1 - min(keep, int(count) / (9 + int(count))))
        else:
            torch._foreach_copy_(average, new)

    return update


def train(
    system: System,
    configuration: TrainingConfiguration,
    folder: str | Path,
    *,
    device: str = "",
    say: Callable[[str], None] = print,
    facts: dict[str, Any] | None = None,
) -> dict[str, float]:
    """Train, or go on where the folder's last checkpoint is.

    Args:
        system: What is trained.
        configuration: How.
        folder: Where the run lives.
        device: "cpu" or "cuda"; empty: CUDA where there is one.
        say: Where progress goes.
        facts: Stored with the weights, e.g. the commit.

    Returns:
        The last validation's figures.

    Raises:
        ConfigurationError: The folder holds a run of another configuration, or a held-out source's
            kind or option does not exist.
        DatasetError: Held-out data that cannot be read.
        ModelError: Its checkpoint is damaged, or the loss is no number any more.
    """
    rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    for _, held in held_out(configuration.data):
        open_source(held)  # what cannot be read is said now, not after hours
    torch_device = _device(device, ranks)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if ranks > 1:
        torch.distributed.init_process_group("nccl" if torch_device.type == "cuda" else "gloo")
    torch.manual_seed(configuration.seed)
    model = system.build(configuration).to(torch_device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = AveragedModel(
        model, multi_avg_fn=running_average(configuration.schedule.average), use_buffers=True
    )
    average.eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(
        system.groups(model, configuration), weight_decay=configuration.schedule.weight_decay
    )
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    half = torch_device.type == "cuda"
    scaler = torch.amp.GradScaler(torch_device.type, enabled=half)
    step = _resume(folder, configuration, model, average, optimizer, scaler, torch_device)
    average.n_averaged.fill_(step + 1)  # at 0 it would take the first step's weights alone
    total = configuration.schedule.steps
    rates = LambdaLR(
        optimizer,
        partial(learning_rate, steps=total, warm_up=configuration.schedule.warm_up),
        last_epoch=step - 1,
    )
    learner: nn.Module = model
    if ranks > 1:
        learner = nn.parallel.DistributedDataParallel(
            model,
            device_ids=[torch_device.index] if half else None,
            find_unused_parameters=bool(getattr(system, "PARTIAL", False)),
        )
    if rank == 0:
        _write(folder / "configuration.yaml", yaml.safe_dump(to_dict(configuration)))
        with contextlib.suppress(OSError):
            (folder / "stop").unlink()
    if ranks > 1:
        torch.distributed.barrier()  # nobody sees a leftover of "stop"
    figures: dict[str, float] = {}
    sums: dict[str, float] = {}
    stop = _Stop(folder / "stop", torch_device if ranks > 1 else None)
    board = _board(folder) if rank == 0 else None
    begun, reported = time.monotonic(), step
    spoke = begun
    source = system.batches(configuration, step, rank, ranks)
    if step and rank == 0:
        say(f"goes on at step {step} of {total}")

    saved = time.monotonic()

    def save() -> None:
        nonlocal saved
        saved = time.monotonic()
        if rank:
            return
        state = {
            "configuration": to_dict(configuration),
            "step": step,
            "model": model.state_dict(),
            "average": average.module.state_dict(),
            "optimizer": optimizer.state_dict(),
            "scaler": scaler.state_dict(),
        }
        torch.save(state, folder / "last.part")
        os.replace(folder / "last.part", folder / "last.pt")
        system.save(
            average.module,
            folder / "weights.pt",
            {**(facts or {}), "step": step, "figures": figures, "training": to_dict(configuration)},
        )

    with stop:
        while step < total and not stop.asked():
            batch = {k: v.to(torch_device, non_blocking=True) for k, v in next(source).items()}
            learner.train()
            # What a step draws is its own, also after a resume and of each process.
            torch.manual_seed((configuration.seed * 1_000_003 + step) * 1024 + rank)
            with torch.autocast(torch_device.type, enabled=half):
                loss, parts = system.loss(learner, batch, configuration)
            if not torch.isfinite(loss):
                raise ModelError(
                    f"the loss is {float(loss)} at step {step}",
                    expected="a number",
                    fix="lower schedule.rate; last.pt is from before",
                )
            optimizer.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), configuration.schedule.clip)
            scaler.step(optimizer)
            scaler.update()
            average.update_parameters(model)
            rates.step()
            step += 1
            for name, value in {"loss": loss.detach(), **parts}.items():
                sums[name] = sums.get(name, 0.0) + float(value)
            if step % REPORT_EVERY == 0 or step == total:
                count = step - reported
                means = {name: value / count for name, value in sums.items()}
                seconds = (time.monotonic() - begun) / count
                _report(folder, board, step, {**means, "seconds_a_step": seconds}, "train", rank)
                left = seconds * (total - step) / 60
                shown = ", ".join(f"{k} {v:.3f}" for k, v in means.items())
                if rank == 0:
                    say(f"step {step}/{total} ({seconds:.2f} s, {left:.0f} min left): {shown}")
                sums, reported, begun = {}, step, time.monotonic()
                spoke = begun
            elif rank == 0 and time.monotonic() - spoke > SPEAK_EVERY_S:
                spoke = time.monotonic()
                say(f"step {step}/{total}")
            if step % configuration.validate_every == 0 or step == total:
                paused = time.monotonic()
                try:
                    figures = (
                        system.validate(average.module, configuration, torch_device)
                        if not rank
                        else {}
                    )
                except BaseException:
                    save()  # hours of training must not be lost with a figure
                    raise
                if figures:
                    _report(folder, board, step, figures, "validation", rank)
                    say("validation: " + ", ".join(f"{k} {v:.4f}" for k, v in figures.items()))
                begun += time.monotonic() - paused
            late = time.monotonic() - saved >= 60 * configuration.save_minutes
            if step % configuration.save_every == 0 or step == total or late:
                save()
        if step < total and rank == 0:
            save()
            say(f"stopped at step {step}; the same command goes on")
    if ranks > 1:
        torch.distributed.destroy_process_group()
    return figures


def batches_of(
    samples: Any, configuration: TrainingConfiguration, first: int, rank: int, ranks: int
) -> Iterator[Batch]:
    """Batches of a map-style data set that takes a `samples.Request`, of all sizes, without end.

    Args:
        samples: The data set.
        configuration: Its `data.sizes`, `data.workers`, `schedule.batch` and `seed` count.
        first: Step to begin with.
        rank: This process.
        ranks: How many there are.
    """
    data, batch = configuration.data, configuration.schedule.batch
    requests = Requests(
        len(samples), len(data.sizes), batch, configuration.seed, first, rank, ranks
    )
    return loader(samples, requests, data.workers)


def batches_of_images(
    configuration: TrainingConfiguration, first: int, rank: int, ranks: int
) -> Iterator[Batch]:
    """Batches of `samples.TrainingImages`, see `batches_of`."""
    checked_folders(configuration)
    return batches_of(TrainingImages(configuration.data), configuration, first, rank, ranks)


def checked_folders(
    configuration: TrainingConfiguration,
    fix: str = "make one: depth_perception world --dataset DIR --frames 1000",
) -> tuple[str, ...]:
    """`data.folders`.

    Raises:
        ConfigurationError: There is none.
    """
    folders = configuration.data.folders
    if not folders:
        raise ConfigurationError("data.folders is empty", expected="data sets to train on", fix=fix)
    return folders


def loader(dataset: Any, sampler: Any, workers: int) -> Iterator[Batch]:
    """Batches of a map-style data set, as the batch sampler asks, loaded ahead by processes.

    What only some of a batch's samples have, such as a layer of truth, is left out.
    """
    source = DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        persistent_workers=False,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_one_thread if workers else None,
        collate_fn=collate,
    )
    return iter(source)


def _one_thread(_: int) -> None:
    import cv2

    torch.set_num_threads(1)
    cv2.setNumThreads(1)


class _Stop:
    """Asked for by SIGINT, SIGTERM or a file called stop: the step under way is finished first.

    Of several processes none may go on while another has stopped: it would wait for its gradients.
    So they agree before each step, on the device that their gradients travel by (`together`).
    """

    def __init__(self, file: Path, together: torch.device | None = None) -> None:
        self._file, self._together, self._asked = file, together, False
        self._before: dict[signal.Signals, Any] = {}

    def asked(self) -> bool:
        """Whether any process was asked; all processes call it as often."""
        mine = self._asked or self._file.exists()
        if self._together is None:
            return mine
        votes = torch.tensor(int(mine), device=self._together)
        torch.distributed.all_reduce(votes)
        return bool(votes.item())

    def _ask(self, *_: Any) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def __enter__(self) -> _Stop:
        with contextlib.suppress(ValueError):  # only the main thread may
            for name in (signal.SIGINT, signal.SIGTERM):
                self._before[name] = signal.signal(name, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for name, handler in self._before.items():
            signal.signal(name, handler)


def _device(wanted: str, ranks: int) -> torch.device:
    name = choose_device(wanted)
    if name == "cuda" and ranks > 1:
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(name)
    return torch.device(name)


def _resume(
    folder: Path,
    configuration: TrainingConfiguration,
    model: nn.Module,
    average: AveragedModel,
    optimizer: torch.optim.Optimizer,
    scaler: Any,
    torch_device: torch.device,
) -> int:
    """Load the folder's last checkpoint; return the step to go on with."""
    path = folder / "last.pt"
    if not path.exists():
        return 0
    try:
        state = torch.load(path, map_location=torch_device, weights_only=True)
        before = state["configuration"]
    except Exception as error:  # torch raises anything for a damaged file
        raise ModelError(
            f"checkpoint '{path}' cannot be read ({error})", fix="delete it to begin anew"
        ) from None
    now = to_dict(configuration)
    for name in ("system", "network", "options"):
        theirs = before.get(name, {})
        if name != "system":
            theirs = _as_begun(getattr(configuration, name), current_settings(theirs))
        if theirs != now[name]:
            raise ConfigurationError(
                f"'{folder}' holds a run with another {name}",
                expected=str(before.get(name)),
                fix="name another folder, or delete this one",
            )
    model.load_state_dict(current_keys(state["model"]))
    average.module.load_state_dict(current_keys(state["average"]))
    rates = [group["initial_lr"] for group in optimizer.param_groups]  # a resumed run's own
    optimizer.load_state_dict(state["optimizer"])
    scaler.load_state_dict(state["scaler"])
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["initial_lr"] = rate
    return int(state["step"])


def _as_begun(part: Any, before: dict[str, Any]) -> dict[str, Any]:
    """Stored values of a part; what could not be named yet when the run began is as usual."""
    usual = {field.name: field.default for field in fields(part)} if is_dataclass(part) else {}
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in usual.items()}
    return {**plain, **before}


def _board(folder: Path) -> Any:
    """TensorBoard's writer, or None where tensorboard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"))


def _report(
    folder: Path, board: Any, step: int, values: dict[str, float], kind: str, rank: int
) -> None:
    if rank:
        return
    rounded = {name: round(float(value), 6) for name, value in values.items()}
    with (folder / "log.jsonl").open("a") as file:
        file.write(json.dumps({"step": step, "kind": kind, **rounded}) + "\n")
    if board is not None:
        for name, value in rounded.items():
            board.add_scalar(f"{kind}/{name}", value, step)
        board.flush()


def _write(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text)
    os.replace(part, path)

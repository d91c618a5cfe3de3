"""Ask a small network, trained on the synthetic world alone, what it sees on real drives.

    python -m depth_perception.world.probe --data DIR --bags ../shared/bags --minutes 8 --output DIR

In: shards of `dataset.write_dataset`, and bags with LiDAR and road masks. Out, in the output
folder: the network, `probe.json` with the road's IoU and the depth's errors for each bag, and
pictures. Nothing is scaled or fitted to the truth, and nothing of the bags is trained on: what the
network gets wrong there, the world does not teach yet. The same seed, data and number of steps
(``--steps``, printed at the start) give the same network on the same machine.

Pictures: road that mask and network agree on is green, road of the mask alone blue, of the network
alone red; below, the network's depth, from near (bright) to 80 m (dark), with the LiDAR's points.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from depth_perception.errors import ConfigurationError, DepthPerceptionError
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import GroundPlane

from . import labels
from .augment import Augmentation
from .probe_network import MULTIPLE, ProbeNetwork, load_network, plane_inputs, save_network
from .shards import ShardReader, TrueCamera, TrueFrameSet

TRAINING_SIZE = (288, 160)
"""(width, height) of training images, px; real ones have about as many pixels."""
FARTHEST = 150.0
"""Deeper truth is not learnt, m."""
NOMINAL = GroundPlane()
ROAD_OF_MASK = (1, 3)
"""Values of the bags' road masks that are road: road and road marking."""
_TIMED_STEPS = 12


def batches(
    sets: list[TrueFrameSet], size: int, change: Augmentation, seed: int
) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield training batches without end: image, planes, road, known, depth.

    Images (B, 3, H, W) uint8, planes (B, 3, H, W), the rest (B, 1, H, W) float32: road is 0 or 1
    where known is 1; depth is NaN where it is not to be learnt.
    """
    rng = np.random.default_rng([seed, 71])
    places = [(i, k) for i, sample in enumerate(sets) for k in range(len(sample.cameras))]
    while True:
        order = rng.permutation(len(places))
        for begin in range(0, len(order) - size + 1, size):
            items = []
            for place in order[begin : begin + size]:
                i, k = places[place]
                one = TrueFrameSet(
                    sets[i].key, (sets[i].cameras[k],), sets[i].ground, sets[i].facts
                )
                items.append(_training_item(change(one, rng).cameras[0]))
            yield tuple(torch.from_numpy(np.stack(part)) for part in zip(*items, strict=True))


def _training_item(camera: TrueCamera) -> tuple[NDArray[Any], ...]:
    image = np.ascontiguousarray(camera.image[..., ::-1].transpose(2, 0, 1))
    planes = plane_inputs(camera.model, camera.T_base_calibrated, NOMINAL)
    known = (camera.label != labels.OWN_BODY)[None].astype(np.float32)
    road = (camera.label == labels.ROAD)[None].astype(np.float32)
    usable = (known[0] > 0) & (camera.depth < FARTHEST)
    depth = np.where(usable, camera.depth, np.nan)[None].astype(np.float32)
    return image, planes, road, known, depth


def loss_of(
    logits: torch.Tensor,
    log_depth: torch.Tensor,
    road: torch.Tensor,
    known: torch.Tensor,
    depth: torch.Tensor,
) -> torch.Tensor:
    """Cross entropy of the road, plus the mean absolute error of log depth."""
    wrong = functional.binary_cross_entropy_with_logits(logits, road, reduction="none")
    seen = torch.isfinite(depth)
    target = torch.log(torch.where(seen, depth, torch.ones_like(depth)))
    off = (log_depth - target).abs() * seen
    return (wrong * known).sum() / known.sum().clamp(min=1) + off.sum() / seen.sum().clamp(min=1)


def train(
    data: Path, *, minutes: float, steps: int, seed: int, batch: int = 8
) -> tuple[ProbeNetwork, dict[str, Any]]:
    """Train a probe on shards; `steps` of 0 takes as many as fit into `minutes`.

    Returns:
        The network, ready to be used, and how it was trained.
    """
    reader = ShardReader(data)
    sets = [reader[i] for i in range(len(reader))]
    images = sum(len(sample.cameras) for sample in sets)
    if images < batch:
        raise ConfigurationError(f"'{data}' has {images} images", expected=f"at least {batch}")
    torch.manual_seed(seed)
    network = ProbeNetwork().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.train()
    groups = [
        {"params": network.trunk.parameters(), "lr": 4e-4},
        {"params": [*network.up.parameters(), *network.head.parameters()], "lr": 2e-3},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    source = batches(sets, batch, Augmentation(size=TRAINING_SIZE, crop=(0.5, 1.0)), seed)
    total, losses, begun = steps, [], time.monotonic()
    step, ends = 0, [begun]
    while not total or step < total:
        if step == _TIMED_STEPS and not total:
            # The schedule needs the number of steps: measured once, then fixed and reported.
            each = float(np.median(np.diff(ends)))
            total = max(step + 1, int(minutes * 60 / each))
            _say(f"{len(sets)} sets, {images} images; {total} steps of {each:.2f} s")
        rate = _rate(step, total or 1000)
        for group in optimizer.param_groups:
            group.setdefault("top", group["lr"])
            group["lr"] = group["top"] * rate
        image, planes, road, known, depth = next(source)
        logits, log_depth = network(image, planes)
        loss = loss_of(logits, log_depth, road, known, depth)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        losses.append(loss.item())
        ends.append(time.monotonic())
        step += 1
        if step % 100 == 0:
            _say(f"step {step} of {total}: loss {np.mean(losses[-100:]):.3f}")
    facts = {
        "data": str(data),
        "arguments": reader.manifest["arguments"],
        "sets": len(sets),
        "images": images,
        "steps": total,
        "batch": batch,
        "seed": seed,
        "seconds": round(time.monotonic() - begun, 1),
        "loss": float(np.mean(losses[-100:])),
    }
    return network.eval(), facts


def _rate(step: int, total: int) -> float:
    """Share of the learning rate: up over the first steps, then down along a cosine."""
    warm = min(1.0, (step + 1) / 30)
    return warm * (0.5 + 0.5 * math.cos(math.pi * min(step / total, 1.0)))


def working_size(width: int, height: int) -> tuple[int, int]:
    """A size of about as many pixels as in training and nearly the shape of the image."""
    pixels, aspect = TRAINING_SIZE[0] * TRAINING_SIZE[1], width / height
    wide = max(1, round(math.sqrt(pixels * aspect) / MULTIPLE)) * MULTIPLE
    return wide, max(1, round(wide / aspect / MULTIPLE)) * MULTIPLE


@torch.no_grad()
def predict(
    network: ProbeNetwork,
    image: NDArray[np.uint8],
    model: CameraModel,
    T_base_camera: NDArray[np.float64],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Probability of road and depth in metres, (h, w) each, of an image (H, W, 3) uint8 BGR."""
    size = working_size(model.width, model.height)
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    planes = plane_inputs(model.resized(*size), T_base_camera, NOMINAL)
    pixels = torch.from_numpy(np.ascontiguousarray(small[..., ::-1].transpose(2, 0, 1)))
    logits, log_depth = network(pixels[None], torch.from_numpy(planes)[None])
    return torch.sigmoid(logits)[0, 0].numpy(), torch.exp(log_depth)[0, 0].numpy()


def evaluate_bag(network: ProbeNetwork, bag: Path, pictures: Path, sets: int = 3) -> dict[str, Any]:
    """Compare a bag's road masks and LiDAR with what the network sees.

    Args:
        network: From `train`.
        bag: A rosbag2 directory with a folder road_masks.
        pictures: Folder for pictures of some of its frame sets.
        sets: How many.

    Returns:
        road_iou over all images together and by camera, None where no mask has a road; depth
        metrics as in `evaluation.metrics`, averages over the images, of all points and of those on
        the road.
    """
    from depth_perception.datasets.bag import BagReader
    from depth_perception.evaluation.lidar import ScanWindow, TruthProtocol
    from depth_perception.evaluation.metrics import mean_metrics
    from depth_perception.parameters import Parameters, load
    from depth_perception.resources import config_file

    try:
        parameters = load(config_file(f"{bag.name.split('_')[0]}.yaml"), {})
    except DepthPerceptionError:
        parameters = Parameters()
    counts: dict[str, NDArray[np.int64]] = {}
    depth, road = [], []
    with BagReader(bag, parameters) as reader, BagReader(bag, parameters) as beside:
        window = ScanWindow(beside.clouds(), reader.tree, reader.rig.base_frame, TruthProtocol())
        frame_sets = list(reader.frame_sets())
        pictured = set(np.linspace(0, len(frame_sets) - 1, sets).astype(int).tolist())
        for number, frame_set in enumerate(frame_sets):
            strip = []
            for name, frame in frame_set.frames.items():
                camera = reader.rig[name]
                probability, metres = predict(
                    network, frame.image, camera.model, camera.T_base_camera
                )
                mask = _road_mask(bag, name, frame.stamp)
                agreement = None
                if mask is not None:
                    agreement = _agreement(probability, mask, camera.ego_mask)
                    counts.setdefault(name, np.zeros(3, np.int64))
                    counts[name] += [int((agreement == k).sum()) for k in (1, 2, 3)]
                truth = _truth(reader, camera, frame.stamp, window)
                if truth is not None:
                    whole, flat = _depth_scores(metres, truth, camera.model)
                    depth.append(whole)
                    road.append(flat)
                if number in pictured:
                    strip.append(_picture(frame.image, agreement, metres, truth, camera.model))
            if strip:
                cv2.imwrite(str(pictures / f"{bag.name}_{number:03d}.jpg"), _tiled(strip))
    pooled = sum(counts.values(), np.zeros(3, np.int64))
    return {
        "images": len(depth),
        "road_iou": _iou(pooled),
        "road_precision": float(pooled[0] / max(pooled[0] + pooled[2], 1)),
        "road_recall": float(pooled[0] / max(pooled[0] + pooled[1], 1)),
        "road_iou_by_camera": {name: _iou(n) for name, n in counts.items()},
        "depth": asdict(mean_metrics(depth)),
        "depth_road": asdict(mean_metrics(road)),
    }


def _iou(counts: NDArray[np.int64]) -> float | None:
    """Of (both, mask alone, network alone); None where the masks have no road."""
    return float(counts[0] / counts.sum()) if counts[:2].any() else None


def _road_mask(bag: Path, camera: str, stamp: int) -> NDArray[np.bool_] | None:
    mask = cv2.imread(str(bag / "road_masks" / camera / f"{stamp}.png"), cv2.IMREAD_GRAYSCALE)
    return None if mask is None else np.isin(mask, ROAD_OF_MASK)


def _agreement(
    probability: NDArray[np.float32], mask: NDArray[np.bool_], ego: NDArray[np.bool_] | None
) -> NDArray[np.uint8]:
    """At the mask's size: 1 both say road, 2 the mask alone, 3 the network alone, 0 neither."""
    size = (mask.shape[1], mask.shape[0])
    found = cv2.resize(probability, size, interpolation=cv2.INTER_LINEAR) > 0.5
    out = np.where(mask & found, 1, np.where(mask, 2, np.where(found, 3, 0))).astype(np.uint8)
    if ego is not None:
        out[cv2.resize(ego.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0] = 0
    return out


def _truth(reader: Any, camera: Any, stamp: int, window: Any) -> Any:
    """The LiDAR's points in an image, as `depth_perception evaluate` takes them; None without."""
    from depth_perception.evaluation import lidar

    scan = window.nearest(stamp)
    if scan is None:
        return None
    motion = lidar.base_motion(reader.odometry, scan.stamp, stamp)
    limit = lidar.OFFSET_WITHOUT_ODOMETRY if motion is None else lidar.OFFSET_WITH_ODOMETRY
    if abs(scan.stamp - stamp) * 1e-9 > limit:
        return None
    return lidar.lidar_truth(camera, scan, stamp, lidar.TruthProtocol(), motion)


def _depth_scores(metres: NDArray[np.float32], truth: Any, model: CameraModel) -> tuple[Any, Any]:
    from depth_perception.evaluation.metrics import depth_metrics, sample_depth

    share = np.array([metres.shape[1] / model.width, metres.shape[0] / model.height])
    found = sample_depth(metres, (truth.uv + 0.5) * share - 0.5)
    return (
        depth_metrics(found, truth.depth),
        depth_metrics(found[truth.road], truth.depth[truth.road]),
    )


def _picture(
    image: NDArray[np.uint8],
    agreement: NDArray[np.uint8] | None,
    metres: NDArray[np.float32],
    truth: Any,
    model: CameraModel,
) -> NDArray[np.uint8]:
    size = (480, round(480 * image.shape[0] / image.shape[1]))
    shown = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if agreement is not None:
        colours = np.array([[0, 0, 0], [60, 200, 60], [255, 80, 40], [40, 40, 255]], np.uint8)
        areas = cv2.resize(agreement, size, interpolation=cv2.INTER_NEAREST)
        tinted = (shown // 2 + colours[areas] // 2).astype(np.uint8)
        shown = np.where((areas > 0)[..., None], tinted, shown)
    near = _shade(np.asarray(cv2.resize(metres, size, interpolation=cv2.INTER_NEAREST)))
    if truth is not None:
        places = np.rint((truth.uv + 0.5) * size[0] / model.width - 0.5).astype(int)
        for (u, v), colour in zip(places, _shade(truth.depth[:, None])[:, 0], strict=True):
            cv2.circle(near, (int(u), int(v)), 1, colour.tolist(), -1)
    return np.vstack([shown, near])


def _shade(metres: NDArray[Any]) -> NDArray[np.uint8]:
    share = 1 - np.log(np.clip(metres, 2, 80) / 2) / math.log(40)
    return np.asarray(cv2.applyColorMap((share * 255).astype(np.uint8), cv2.COLORMAP_TURBO))


def _tiled(pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    height = max(picture.shape[0] for picture in pictures)
    padded = [np.pad(p, ((0, height - p.shape[0]), (0, 0), (0, 0))) for p in pictures]
    while len(padded) > 1 and len(padded) % 3:
        padded.append(np.zeros_like(padded[0]))
    rows = [np.hstack(padded[i : i + 3]) for i in range(0, len(padded), 3)]
    return np.vstack(rows)


def _without_nan(value: Any) -> Any:
    """Put None where JSON has no number: a bag whose scan shows no road, for one."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _say(text: str) -> None:
    print(text, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the probe."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="shards to train on")
    parser.add_argument("--network", type=Path, help="use this probe.pt and train nothing")
    parser.add_argument("--bags", type=Path, required=True, help="folder of bags")
    parser.add_argument("--minutes", type=float, default=8.0, help="of training (default 8)")
    parser.add_argument("--steps", type=int, default=0, help="of training, instead of minutes")
    parser.add_argument("--seed", type=int, default=0, help="of training (default 0)")
    parser.add_argument("--output", type=Path, required=True, help="folder for results")
    options = parser.parse_args(arguments)
    if (options.data is None) == (options.network is None):
        parser.error("one of --data and --network")
    options.output.mkdir(parents=True, exist_ok=True)
    facts: dict[str, Any] = {"network": str(options.network)}
    if options.network is not None:
        network = load_network(options.network)
    else:
        network, facts = train(
            options.data, minutes=options.minutes, steps=options.steps, seed=options.seed
        )
        save_network(options.output / "probe.pt", network, facts)
    bags = sorted(p.parent for p in options.bags.glob("*/road_masks"))
    results = {}
    _say(f"{'bag':18}{'road IoU':>9}{'prec.':>7}{'recall':>7}{'AbsRel':>8}{'d1':>7}{'road':>7}")
    for bag in bags:
        r = results[bag.name] = evaluate_bag(network, bag, options.output)
        iou = "no road" if r["road_iou"] is None else f"{r['road_iou']:.3f}"
        _say(
            f"{bag.name:18}{iou:>9}{r['road_precision']:7.3f}{r['road_recall']:7.3f}"
            f"{r['depth']['abs_rel']:8.3f}{r['depth']['delta1']:7.3f}"
            f"{r['depth_road']['abs_rel']:7.3f}"
        )
    content = _without_nan({"training": facts, "bags": results})
    text = json.dumps(content, indent=1, allow_nan=False)
    (options.output / "probe.json").write_text(text + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DepthPerceptionError as problem:
        sys.exit(f"error: {problem}")

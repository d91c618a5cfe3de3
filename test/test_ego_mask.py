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

"""Own-body masks: files, rasterising, and finding them in a drive."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_drive import write_drive

from depth_perception.cli.main import main
from depth_perception.errors import BagError, ConfigurationError
from depth_perception.evaluation.output_folder import LIST
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.rig import RigCamera
from depth_perception.geometry.transforms import OPTICAL_AXES
from depth_perception.rig.ego_mask import (
    EgoMask,
    load_ego_masks,
    masks_without_camera,
    polygons_of,
    rasterize,
    write_ego_masks,
)
from depth_perception.rig.ego_mask_proposal import propose_ego_mask

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("DEPTH_PERCEPTION_SHARED", ROOT.parent / "shared"))
WIDTH, HEIGHT = 320, 200


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def load(folder: Path, content: str) -> dict[str, EgoMask]:
    path = folder / "masks.yaml"
    path.write_text(content)
    return load_ego_masks(path)


def test_a_polygon_covers_the_pixels_that_it_encloses(tmp_path):
    masks = load(tmp_path, "A: {size: [10, 8], polygons: [[[2, 4], [6, 4], [6, 7], [2, 7]]]}")
    expected = np.zeros((8, 10), dtype=bool)
    expected[4:8, 2:7] = True
    np.testing.assert_array_equal(rasterize(masks["A"], 10, 8), expected)


def test_a_mask_scales_to_the_image_that_arrives(tmp_path):
    content = "A: {size: [100, 80], polygons: [[[0, 40], [99, 40], [99, 79], [0, 79]]]}"
    mask = load(tmp_path, content)["A"]
    for scale in (2, 0.5, 0.25):
        drawn = rasterize(mask, round(100 * scale), round(80 * scale))
        # The outline's pixels belong to it, so it may reach one row farther.
        assert abs(int((~drawn[:, 5]).sum()) - 40 * scale) <= 1
        assert drawn[-1, 1:-1].all()


def test_a_mask_for_another_shape_is_refused_by_name(tmp_path):
    mask = load(tmp_path, "CAM_X: {size: [100, 80], polygons: [[[0, 0], [9, 0], [9, 9]]]}")["CAM_X"]
    with pytest.raises(ConfigurationError, match="CAM_X is for images of 100x80"):
        rasterize(mask, 100, 60)


def test_an_image_is_true_where_it_is_not_zero(tmp_path):
    picture = np.zeros((40, 60), np.uint8)
    picture[30:, :20] = 1
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    mask = load(tmp_path, "A: {image: a.png}")["A"]
    np.testing.assert_array_equal(rasterize(mask, 60, 40), picture > 0)
    assert rasterize(mask, 120, 80).sum() == 4 * picture.sum()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("CAM: {size: [10, 8]}", "neither polygons nor image"),
        ("CAM: {polygons: [[[0, 0], [1, 0], [1, 1]]]}", "size is None"),
        ("CAM: {size: [10, 8], polygons: [[[0, 0], [1, 0]]]}", "polygon 0.*three or more"),
        ("CAM: {size: [10, 8], polygons: [[[0, 0], [1, 0], [1]]]}", "polygon 0"),
        ("CAM: {size: [10, 8], polygon: [], polygons: []}", "'polygons'"),
        ("CAM: {image: absent.png}", "absent.png.*does not exist"),
        ("CAM: {image: masks.yaml}", "is no picture"),
        ("CAM: [", "no YAML"),
        ("CAM: {size: [10, 8], polygons: [[[0, 0], [.inf, 0], [1, 1]]]}", "corner lies at"),
    ],
)
def test_a_wrong_file_names_the_camera_and_the_fix(tmp_path, content, said):
    with pytest.raises(ConfigurationError, match=said) as caught:
        load(tmp_path, content)
    assert "Fix" in str(caught.value)


def test_written_masks_read_back_the_same(tmp_path):
    mask = np.zeros((608, 968), np.uint8)
    cv2.ellipse(mask, (480, 620), (500, 140), 0, 0, 360, 1, -1)
    cv2.fillPoly(mask, [np.array([[0, 0], [200, 0], [0, 120]])], 1)
    path = tmp_path / "out" / "masks.yaml"
    write_ego_masks(path, {"A": mask > 0, "EMPTY": np.zeros((608, 968), dtype=bool)})
    masks = load_ego_masks(path)
    assert list(masks) == ["A"]
    assert sum(map(len, polygons_of(mask > 0))) < 60
    assert iou(rasterize(masks["A"], 968, 608), mask > 0) > 0.99


@pytest.mark.parametrize("name", ["ddad", "nuscenes"])
def test_shipped_masks_cover_the_lower_edge_only_where_a_body_is(name):
    masks = load_ego_masks(ROOT / "config" / "ego_masks" / f"{name}.yaml")
    for mask in masks.values():
        drawn = rasterize(mask, *mask.size)
        assert 0.01 < drawn.mean() < 0.3
        assert drawn[-1].mean() > 0.85
        # The middle of the image, where the horizon is, is free.
        assert not drawn[drawn.shape[0] // 2].any()


def body(shape: str) -> np.ndarray:
    """Return where a made-up body is: a bonnet at the lower edge, or a flank and a roof's edge."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    if shape == "bonnet":
        cv2.ellipse(mask, (WIDTH // 2, HEIGHT + 10), (150, 60), 0, 0, 360, 1, -1)
    else:
        cv2.fillPoly(mask, [np.array([[0, 120], [WIDTH, 190], [WIDTH, HEIGHT], [0, HEIGHT]])], 1)
        cv2.fillPoly(mask, [np.array([[0, 0], [100, 0], [0, 60]])], 1)
    return mask > 0


def drive(mask: np.ndarray, frames: int, seed: int = 0, mirror: float = 0.0):
    """Yield a texture that passes by behind a dark body, which may mirror it."""
    rng = np.random.default_rng(seed)
    wide = sum(
        cv2.resize(
            rng.normal(0, 40, (HEIGHT // k + 2, 2000 // k)).astype(np.float32), (2000, HEIGHT)
        )
        for k in (2, 6, 20, 60)
    )
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.0)
    for i in range(frames):
        world = 120 + wide[:, 37 * i % 1600 : 37 * i % 1600 + WIDTH]
        inside = 40 + mirror * cv2.GaussianBlur(world[::-1], (0, 0), 3)
        grey = world * (1 - soft) + inside * soft + rng.normal(0, 2, world.shape)
        yield cv2.cvtColor(np.clip(grey, 0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)


@pytest.mark.parametrize("shape", ["bonnet", "flank"])
@pytest.mark.parametrize("mirror", [0.0, 0.3])
def test_a_body_that_stays_is_found_in_a_drive_even_when_it_mirrors(shape, mirror):
    truth = body(shape)
    proposal = propose_ego_mask(drive(truth, 40, mirror=mirror))
    assert iou(proposal.mask, truth) > 0.9
    assert proposal.moved == proposal.frames == 40
    assert proposal.coverage == pytest.approx(truth.mean(), rel=0.1)
    # A mirroring body shows a fainter outline, and that is said.
    assert bool(proposal.warning) == ("faint" in proposal.warning)
    assert mirror or not proposal.warning


def test_no_body_is_found_where_none_is():
    proposal = propose_ego_mask(drive(np.zeros((HEIGHT, WIDTH), dtype=bool), 40))
    assert proposal.coverage == 0


def test_a_vehicle_that_stands_is_refused():
    rng = np.random.default_rng(0)
    still = next(iter(drive(body("bonnet"), 1)))
    noisy = (
        np.clip(still + rng.normal(0, 2, still.shape), 0, 255).astype(np.uint8) for _ in range(30)
    )
    with pytest.raises(BagError, match="REAR: the picture moved in only 0 of 30"):
        propose_ego_mask(noisy, "REAR")


def test_few_frames_are_refused_or_doubted():
    with pytest.raises(BagError, match="3 frames"):
        propose_ego_mask(drive(body("bonnet"), 3))
    assert "only 8 frames" in propose_ego_mask(drive(body("bonnet"), 8)).warning


def mounted(yaw: float) -> RigCamera:
    """A camera 1.5 m above the road that looks ahead (yaw 0) or to the left (pi / 2)."""
    model = CameraModel(WIDTH, HEIGHT, np.array([[200.0, 0, 159.5], [0, 200.0, 99.5], [0, 0, 1]]))
    T = np.eye(4)
    T[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    T[:3, :3] = T[:3, :3] @ OPTICAL_AXES
    T[2, 3] = 1.5
    return RigCamera("c", model, T, "c", model)


def test_what_runs_like_a_kerb_beside_the_vehicle_is_doubted():
    """A level edge below: to a camera that looks aside a kerb, to one that looks ahead a bonnet."""
    level = np.zeros((HEIGHT, WIDTH), dtype=bool)
    level[150:] = True
    aside = propose_ego_mask(drive(level, 40), camera=mounted(np.pi / 2))
    assert "of its outline runs as a kerb" in aside.warning
    ahead = propose_ego_mask(drive(level, 40), camera=mounted(0.0))
    assert iou(ahead.mask, level) > 0.9 and not ahead.warning
    # Of a camera that looks ahead, a marking on the road leads to the horizon's middle.
    marking = np.zeros((HEIGHT, WIDTH), np.uint8)
    corners = np.array([[0, 120], [140, HEIGHT], [0, HEIGHT]])  # not towards (160, 100)
    wedge = np.array([[160, 100], [0, 180], [0, HEIGHT], [90, HEIGHT]])
    for shape, doubted in ((corners, False), (wedge, True)):
        drawn = cv2.fillPoly(marking.copy(), [shape], 1) > 0
        proposal = propose_ego_mask(drive(drawn, 40), camera=mounted(0.0))
        assert proposal.coverage
        assert ("kerb" in proposal.warning) == doubted


def test_a_house_that_stays_for_half_of_the_drive_is_doubted():
    frames = [*drive(body("bonnet"), 25), *drive(np.zeros((HEIGHT, WIDTH), dtype=bool), 25, seed=3)]
    proposal = propose_ego_mask(iter(frames))
    assert not proposal.coverage or "the halves of the drive agree on" in proposal.warning
    proposal = propose_ego_mask(drive(body("bonnet"), 50))
    assert proposal.coverage and not proposal.warning


def test_more_than_a_body_takes_is_doubted():
    large = np.zeros((HEIGHT, WIDTH), dtype=bool)
    large[95:] = True
    assert "more than a body takes" in propose_ego_mask(drive(large, 40)).warning


def test_an_outline_that_is_faint_in_places_is_followed():
    """Behind a third of the bonnet the world is nearly as dark as the bonnet itself."""
    truth = body("bonnet")
    middle = slice(130, 190)
    frames = []
    for frame in drive(truth, 40):
        faded = frame.astype(np.float32)
        inside = truth[:, middle, None]
        faded[:, middle] = np.where(inside, faded[:, middle] + 45, faded[:, middle])
        frames.append(np.clip(faded, 0, 255).astype(np.uint8))
    proposal = propose_ego_mask(iter(frames))
    assert (truth & ~proposal.mask).sum() < 0.05 * truth.sum()
    assert iou(proposal.mask, truth) > 0.9


def test_a_doubted_mask_is_not_written_unless_it_is_forced(tmp_path, capsys):
    from tiny_drive import write_drive

    from depth_perception.cli.main import main

    pictures = list(drive(body("bonnet"), 10))

    def change(topic, index, message):
        if "image" in topic:
            message.data = np.ascontiguousarray(pictures[index]).reshape(-1)
        return message

    bag = write_drive(tmp_path / "bag", frames=10, change=change)
    output = tmp_path / "masks.yaml"
    arguments = ["ego-mask", str(bag), "--output", str(output)]
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert "only 10 frames that moved" in captured.out
    assert "not written, since doubted: front, rear" in captured.err
    assert "--force front rear" in captured.err
    assert not output.exists()
    assert main([*arguments, "--force", "front"]) == 0
    assert list(load_ego_masks(output)) == ["front"]
    assert main([*arguments, "--force", "side"]) == 1
    output.write_text("# drawn by hand")
    assert main([*arguments, "--force"]) == 1
    assert f"'{output}' exists" in capsys.readouterr().err
    assert output.read_text() == "# drawn by hand"
    assert main([*arguments, "--force", "--overwrite"]) == 0
    assert list(load_ego_masks(output)) == ["front", "rear"]


def test_a_real_second_of_slow_driving_is_refused():
    """Twelve frames at 10 Hz in a queue of cars: what is ahead looks as steady as a body would."""
    if not (SHARED / "bags" / "kitti_drive").exists():
        pytest.skip(f"needs bags in {SHARED}")
    from depth_perception.datasets.bag import BagReader
    from depth_perception.parameters import Parameters

    with BagReader(SHARED / "bags" / "kitti_drive", Parameters()) as reader:
        (name,) = reader.rig.names
        with pytest.raises(BagError, match="moved in only"):
            propose_ego_mask((f.frames[name].image for f in reader.frame_sets()), name)


def test_the_verb_writes_masks_that_can_be_used(tmp_path, capsys):
    pictures = {
        "front": list(drive(body("bonnet"), 25)),
        "rear": list(drive(np.zeros((HEIGHT, WIDTH), dtype=bool), 25)),
    }

    def change(topic, index, message):
        name = topic.strip("/").split("/")[0]
        if name in pictures and "image" in topic:
            message.data = np.ascontiguousarray(pictures[name][index]).reshape(-1)
        return message

    bag = write_drive(tmp_path / "bag", frames=25, change=change)
    output = tmp_path / "masks.yaml"
    arguments = ["ego-mask", str(bag), "--output", str(output), "--images", str(tmp_path / "look")]
    assert main(arguments) == 0
    masks = load_ego_masks(output)
    assert list(masks) == ["front"]
    assert iou(rasterize(masks["front"], WIDTH, HEIGHT), body("bonnet")) > 0.9
    assert {path.name for path in (tmp_path / "look").glob("*")} - {LIST} == {
        "front.jpg",
        "rear.jpg",
    }
    assert "front" in capsys.readouterr().out


def test_a_misspelt_camera_of_a_mask_is_named_and_an_unused_one_is_not():
    masks = ["CAM_FRNT", "CAM_BACK", "CAM_LEFT"]
    (said,) = masks_without_camera(masks, ["CAM_FRONT", "CAM_BACK"])
    assert "mask of 'CAM_FRNT'" in said and "did you mean 'CAM_FRONT'?" in said
    assert masks_without_camera(masks, ["CAM_BACK"]) == []
    assert (
        masks_without_camera(["CAM_BACK_LEFT", "camera_05"], ["CAM_FRONT_LEFT", "camera_06"]) == []
    )
    assert masks_without_camera(["CAM_FRONT", "CAM_FRONT_LEFT"], ["CAM_FRONT"]) == []


@pytest.mark.parametrize("verb", ["inspect", "replay"])
def test_verbs_say_that_a_mask_is_of_no_camera(verb, tmp_path, capsys):
    bag = write_drive(tmp_path / "bag", frames=1)
    file = tmp_path / "masks.yaml"
    file.write_text("frnt: {size: [320, 200], polygons: [[[0, 190], [319, 190], [319, 199]]]}")
    output = ["-o", str(tmp_path / "out"), "--estimator", "embodied"] if verb == "replay" else []
    assert main([verb, str(bag), "--set", f"ego_masks={file}", *output]) == 0
    captured = capsys.readouterr()
    assert "mask of 'frnt'" in " ".join((captured.out + captured.err).split())

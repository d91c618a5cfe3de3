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

"""Samples of neighbouring cameras, of three instants, sparse truth, and scores, by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch trains")

import torch
from tiny_datasets import (
    COLUMNS,
    FOCAL,
    HEIGHT,
    MODEL,
    ROW,
    ROWS,
    START,
    by_hand,
    mounted,
    plane_drive,
    turn,
    write_ddad,
    write_kitti,
)

from depth_perception.datasets.augmentation import cropped, is_sparse, mirrored, resized_points
from depth_perception.datasets.sample import DatasetError, TrueCamera, TrueFrameSet
from depth_perception.datasets.shards import TAR_END, encode_set
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import GroundPlane, plane_depth
from depth_perception.geometry.transforms import inverse
from depth_perception.training import scoring
from depth_perception.training.configuration import DataConfiguration
from depth_perception.training.fit import loader
from depth_perception.training.samples import TrainingImages
from depth_perception.training.scoring import Scores, name_of, score, score_all
from depth_perception.training.systems.surround_distillation.samples import (
    RigSamples,
    from_left_to_right,
)
from depth_perception.training.triplets import Triplets, motion, undistorted

FRONT = mounted(0.0, 1.5, 0.0, HEIGHT)
NAMES = {0.0: "CAMERA_01", 1.2: "CAMERA_05", -1.2: "CAMERA_06", math.pi: "CAMERA_09"}


@pytest.fixture(scope="module")
def kitti(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Five frames of one camera, with LiDAR and poses."""
    folder = tmp_path_factory.mktemp("kitti")
    return f"kitti_raw:{write_kitti(folder, plane_drive({'front': FRONT}, frames=5))}"


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two frame sets of four cameras, front, left, right and rear."""
    mountings = {name: mounted(yaw, 0.0, 0.0, HEIGHT) for yaw, name in NAMES.items()}
    folder = tmp_path_factory.mktemp("ring")
    write_ddad(folder, {"000000": plane_drive(mountings, frames=2)}, {"0": ["000000"]})
    return f"ddad:{folder}?ego_masks=none"


def data_of(*folders: str, **changes: object) -> DataConfiguration:
    values = {"folders": folders, "sizes": ((128, 64),), "workers": 0, **changes}
    return DataConfiguration(**values)  # type: ignore[arg-type]


def picture_of(depth: np.ndarray, **changes: object) -> TrueCamera:
    """A camera of 8 x 6 px or so that sees this depth."""
    height, width = depth.shape
    model = CameraModel(width, height, [[50, 0, (width - 1) / 2], [0, 50, 1.0], [0, 0, 1]])
    camera = TrueCamera(
        "front",
        model,
        FRONT,
        FRONT,
        np.zeros((height, width, 3), np.uint8),
        depth.astype(np.float32),
        np.full((height, width), 254, np.uint8),
    )
    return replace(camera, **changes)  # type: ignore[arg-type]


# --- sparse truth ------------------------------------------------------------------------------


def test_sparse_depth_keeps_its_points_when_an_image_is_made_smaller():
    depth = np.full((40, 60), np.nan)
    depth[7, 13], depth[7, 14], depth[30, 59], depth[39, 0] = 5.0, 4.0, 20.0, 30.0
    after = cropped(picture_of(depth), (0, 0, 60, 40), (15, 10)).depth
    expected = np.full((10, 15), np.nan)
    # Columns 13 and 14 of 60 both fall into column 3 of 15: there the nearest counts.
    expected[1, 3], expected[7, 14], expected[9, 0] = 4.0, 20.0, 30.0
    np.testing.assert_array_equal(after, expected)


def test_sparse_depth_follows_the_window_and_its_intrinsics():
    depth = np.full((40, 60), np.nan)
    depth[9, 21] = 6.0
    after = cropped(picture_of(depth), (10, 4, 40, 20), (20, 10))
    v, u = np.argwhere(np.isfinite(after.depth))[0]
    assert (u, v) == (5, 2) and np.isfinite(after.depth).sum() == 1
    ray = picture_of(depth).model.lift(np.array([21.0, 9.0]))
    assert np.abs(after.model.project(ray) - [u, v]).max() <= 0.5


def test_a_larger_image_has_as_many_points():
    depth = np.full((4, 10), np.nan, np.float32)
    depth[1, 2], depth[3, 9] = 3.0, 8.0
    after = resized_points(depth, (25, 10))
    assert np.isfinite(after).sum() == 2
    # The middle of pixel 2 of 10 lies in pixel 6 of 25; that of row 1 of 4 in row 3 of 10.
    assert after[3, 6] == 3.0 and after[8, 23] == 8.0
    assert np.isnan(resized_points(np.full_like(depth, np.nan), (5, 2))).all()


def test_dense_depth_is_no_sparse_depth():
    depth = np.full((10, 10), np.nan)
    depth[:2] = 5.0
    assert not is_sparse(depth)
    depth[1, 9] = np.nan
    assert is_sparse(depth)
    assert not is_sparse(np.full((3, 3), np.inf))


def test_samples_of_a_drive_know_the_lidars_depth_and_no_class(kitti):
    images = TrainingImages(data_of(kitti), change=False)
    assert len(images) == 5
    item = images[(0, 0, 0)]
    known = torch.isfinite(item["depth"])
    # Of 72 rows a window of 64 is taken; all of its points stay.
    assert known.sum() >= len(COLUMNS) * (len(ROWS) - 2)
    assert (item["label"] == 255).all()
    assert item["camera"].tolist() == pytest.approx([0, -1, 0, HEIGHT, FOCAL])
    # What the network is told of the plane agrees with what the LiDAR says.
    v, u = torch.nonzero(known)[len(COLUMNS)]
    slope = -float(item["rays"][1, int(v) // 4, int(u) // 4])
    assert FOCAL * slope == pytest.approx(-FOCAL * HEIGHT / float(item["depth"][v, u]), abs=4)


# --- neighbouring cameras ----------------------------------------------------------------------


def test_cameras_stand_from_left_to_right(ring):
    samples = RigSamples(data_of(ring), 3, change=False)
    assert len(samples) == 2
    item = samples[(0, 0, 0)]
    assert item["image"].shape == (3, 3, 64, 128) and item["depth"].shape == (3, 64, 128)
    yaws = [math.atan2(T[1, 2], T[0, 2]) for T in item["pose"].tolist() for T in [np.array(T)]]
    # Behind, then left, then ahead: a turn to the right each.
    assert abs(yaws[0]) == pytest.approx(math.pi, abs=1e-6)
    assert yaws[1:] == pytest.approx([1.2, 0.0], abs=1e-6)


def test_the_ring_is_closed_and_neighbours_are_neighbours(ring):
    samples = RigSamples(data_of(ring, sizes=((64, 64),)), 2)
    clockwise = [math.pi, 1.2, 0.0, -1.2]

    def place(T: np.ndarray) -> int:
        yaw = math.atan2(T[1, 2], T[0, 2])
        return int(np.argmax([math.cos(yaw - one) for one in clockwise]))

    pairs = {tuple(map(place, samples[(0, 0, seed)]["pose"].numpy())) for seed in range(20)}
    assert pairs == {(i, (i + 1) % 4) for i in range(4)}


def test_sets_with_too_few_cameras_are_left_out(ring, kitti):
    assert len(RigSamples(data_of(ring, kitti), 4)) == 2
    assert len(RigSamples(data_of(ring, kitti), 1)) == 7
    assert len(RigSamples(data_of(ring), 5)) == 0


def test_depth_rays_and_camera_of_a_place_belong_together(ring):
    """Also when mirrored, cut and resized: what the network is told is what the LiDAR saw."""
    exact = {"pitch_error": 0.0, "large_share": 0.0, "height_error": 0.0, "prior_drop": 0.0}
    samples = RigSamples(data_of(ring, **exact), 4)
    checked = 0
    for seed in range(3):
        item = samples[(1, 0, seed)]
        for depth, rays, camera in zip(item["depth"], item["rays"], item["camera"], strict=True):
            v, u = np.nonzero(torch.isfinite(depth).numpy())
            slope = -(rays[:, v // 4, u // 4] * camera[:3, None]).sum(0)
            expected = camera[3] / depth[v, u]
            # Rays are of blocks of 4 px.
            assert (slope - expected).abs().max() * camera[4] < 3
            checked += len(v)
    assert checked > 100


def test_from_left_to_right_of_a_front_rig():
    cameras = [
        picture_of(np.zeros((4, 6)), name=str(yaw), T_base_camera=mounted(yaw, 0, 0, 1))
        for yaw in (-0.9, 0.9, 0.0)
    ]
    assert [c.name for c in from_left_to_right(tuple(cameras))] == ["0.9", "0.0", "-0.9"]


# --- three instants ----------------------------------------------------------------------------


def test_motion_of_a_camera_that_goes_one_metre_ahead():
    sets = []
    for x in (0.0, 1.0):
        T = np.eye(4)
        T[0, 3] = x
        facts = {"T_odom_base": T.tolist()}
        sets.append(TrueFrameSet("k", (picture_of(np.zeros((4, 6))),), GroundPlane(), facts))
    # What stands 5 m before the later camera stood 6 m before the earlier one.
    T = motion(sets[1], sets[0])
    np.testing.assert_allclose(T @ [0.5, 0.2, 5, 1], [0.5, 0.2, 6, 1], atol=1e-12)
    assert motion(sets[0], replace(sets[1], facts={})) is None


def test_a_turn_to_the_left_moves_what_is_ahead_to_the_right():
    facts = [{"T_odom_base": np.eye(4).tolist()}, {}]
    T = np.eye(4)
    T[:3, :3] = turn(math.pi / 2)
    facts[1]["T_odom_base"] = T.tolist()
    camera = picture_of(np.zeros((4, 6)), T_base_camera=mounted(0, 0, 0, 1))
    one, two = (TrueFrameSet("k", (camera,), GroundPlane(), f) for f in facts)
    np.testing.assert_allclose(motion(one, two) @ [0, 0, 5, 1], [5, 0, 0, 1], atol=1e-12)


def test_triplets_are_the_frame_the_one_before_and_the_one_after(kitti):
    triplets = Triplets(data_of(kitti), change=False)
    assert len(triplets) == 3  # the first and last frame lack a neighbour
    item = triplets[(1, 0, 0)]
    images = TrainingImages(data_of(kitti), change=False)
    for i, place in enumerate((2, 1, 3)):
        assert torch.equal(item["image"][i], images[(place, 0, 0)]["image"])
    assert torch.equal(torch.isnan(item["depth"]), torch.isnan(images[(2, 0, 0)]["depth"]))
    assert item["posed"] == 1.0 and item["T"].shape == (2, 4, 4)
    # 10 m/s at 10 Hz, nearly straight ahead.
    assert item["T"][0, 2, 3] == pytest.approx(1.0, abs=0.06)
    assert item["T"][1, 2, 3] == pytest.approx(-1.0, abs=0.06)
    assert item["K"][0, 0] == FOCAL
    assert len(Triplets(data_of(kitti), change=False, step=2)) == 1


def test_a_triplets_motion_takes_the_roads_points_to_the_road(kitti):
    """Through K, depth and T: a point of the road is on the road before and after, too."""
    item = Triplets(data_of(kitti))[(0, 0, 5)]  # a drawn window
    K, depth = item["K"].double().numpy(), item["depth"].double().numpy()
    v, u = np.nonzero(np.isfinite(depth))
    assert len(v) > 5
    rays = np.linalg.inv(K) @ np.stack([u, v, np.ones(len(u))])
    points = np.vstack([rays * depth[v, u], np.ones(len(u))])
    # To a pixel's rounding: half a pixel of height at that depth.
    assert np.abs(points[1] - HEIGHT).max() < (0.5 * depth[v, u] / K[1, 1]).max() + 1e-6
    for T in item["T"].double().numpy():
        rise = (T @ points)[1] - points[1]
        np.testing.assert_allclose(rise, rise.mean(), atol=0.02)  # the road is level


def test_all_three_have_the_same_window_and_colours_and_nothing_is_mirrored(kitti):
    triplets = Triplets(data_of(kitti, crop=(0.5, 0.6)))
    for seed in range(4):
        item = triplets[(0, 0, seed)]
        before = triplets._sources[0].read(0).cameras[0]
        assert item["image"].shape == (3, 3, 64, 128)
        # A window half as wide, at 128 px: the focal length doubles, about; no sign changes.
        assert 1.6 * FOCAL < item["K"][0, 0] < 2.1 * FOCAL
        assert before.T_base_camera[0, 2] == 1.0
        assert item["T"][0, 2, 3] > 0.9


def test_a_list_of_single_frames_still_makes_triplets(kitti, tmp_path):
    split = tmp_path / "split.txt"
    split.write_text("2011_09_26/2011_09_26_drive_0001_sync 3 l\n")
    item = Triplets(data_of(f"{kitti}?split={split}"), change=False)[(0, 0, 0)]
    whole = Triplets(data_of(kitti), change=False)[(2, 0, 0)]
    assert torch.equal(item["image"], whole["image"]) and item["posed"] == 1.0


def test_without_odometry_a_triplet_says_so(tmp_path):
    write_kitti(tmp_path, plane_drive({"front": FRONT}, poses=False))
    item = Triplets(data_of(f"kitti_raw:{tmp_path}"), change=False)[(0, 0, 0)]
    assert item["posed"] == 0.0
    assert torch.equal(item["T"], torch.eye(4).expand(2, 4, 4))


def test_triplets_without_odometry_are_passed_over_where_it_is_needed(kitti, tmp_path):
    write_kitti(tmp_path, plane_drive({"front": FRONT}, poses=False))
    bare = f"kitti_raw:{tmp_path}"
    mixed = Triplets(data_of(bare, kitti), change=False, posed=True)
    first = len(Triplets(data_of(bare), change=False))
    assert first > 0 and len(mixed) == first + 3
    taken: list[list[int]] = [[], []]
    for seed in range(12):
        known = [mixed[(first + k, 0, seed)]["image"] for k in range(3)]
        for again in taken:
            item = mixed[(0, 0, seed)]
            assert item["posed"] == 1.0
            again.append([torch.equal(item["image"], image) for image in known].index(True))
    assert taken[0] == taken[1] and set(taken[0]) == {0, 1, 2}  # any, by the request's seed
    with pytest.raises(DatasetError, match=r"kitti_raw.* have odometry"):
        Triplets(data_of(bare), change=False, posed=True)[(0, 0, 0)]


def test_a_rectified_image_is_seen_along_its_own_axis():
    """Whose R turns its optical frame against the camera's: the road stays where it is."""
    R = cv2.Rodrigues(np.array([0.03, -0.05, 0.02]))[0]
    model = CameraModel(128, 72, MODEL.K, R=R)
    camera = picture_of(np.zeros((72, 128)), model=model)
    camera = replace(camera, depth=plane_depth(model.rays(), FRONT, GroundPlane()))
    after = undistorted(camera)
    assert np.array_equal(after.model.R, np.eye(3)) and after.image is camera.image
    for T in (after.T_base_camera, after.T_base_calibrated):
        exact = plane_depth(after.model.rays(), T, GroundPlane())
        near = np.isfinite(exact) & (exact < 50)
        assert near.sum() > 1000
        np.testing.assert_allclose(after.depth[near], exact[near], rtol=1e-4)
    assert not np.allclose(after.depth[near], camera.depth[near], rtol=1e-3)


BARREL = CameraModel(128, 72, MODEL.K, [-0.2, 0.03, 1e-3, -1e-3])


def test_a_pinhole_stays_as_it_is():
    camera = picture_of(np.ones((4, 6)))
    assert undistorted(camera) is camera


def test_an_undistorted_view_of_the_road_is_the_roads():
    depth = plane_depth(BARREL.rays(), FRONT, GroundPlane())
    image = np.zeros((72, 128, 3), np.uint8)
    image[..., 0] = np.arange(128)
    layer = {"instance": np.arange(72 * 128, dtype=np.int32).reshape(72, 128) % 40000}
    camera = picture_of(depth, model=BARREL, image=image, layers=layer)
    after = undistorted(camera)
    assert after.model.is_pinhole and after.image.shape == image.shape
    exact = plane_depth(after.model.rays(), FRONT, GroundPlane())
    near = (exact < 6) & np.isfinite(after.depth)
    assert near.sum() > 1000
    # The nearest pixel is at most 0.5 px off, in each direction, of a row's depth.
    slope = after.model.K[1, 1] * HEIGHT
    assert np.abs(slope / after.depth[near] - slope / exact[near]).max() < 0.8
    assert after.layers["instance"].dtype == np.int32


def test_undistorting_keeps_a_lidars_points():
    depth = np.full((72, 128), np.nan)
    pixels = np.stack(np.meshgrid(np.arange(4, 125, 6), np.arange(34, 70, 5)), -1).reshape(-1, 2)
    depth[pixels[:, 1], pixels[:, 0]] = 9.0 + pixels[:, 0]
    after = undistorted(picture_of(depth, model=BARREL))
    rays = BARREL.lift(pixels.astype(float))
    uv = np.rint(after.model.project(rays)).astype(int)
    inside = ((uv >= 0) & (uv < [128, 72])).all(axis=1)
    assert inside.sum() > 100
    expected = np.full((72, 128), np.nan)
    expected[uv[inside, 1], uv[inside, 0]] = 9.0 + pixels[inside, 0]
    np.testing.assert_array_equal(after.depth, expected)


# --- scores ------------------------------------------------------------------------------------


def test_scores_of_a_prediction_twice_as_far():
    truth = np.linspace(2, 30, 60).reshape(6, 10)
    scores = Scores()
    scores.add(2 * truth, truth)
    found = scores.result()
    assert found["abs_rel"] == pytest.approx(1.0) and found["delta1"] == 0.0
    assert found["scale"] == pytest.approx(0.5)
    assert found["abs_rel_median"] == pytest.approx(0.0, abs=1e-9)
    assert found["delta1_median"] == 1.0
    assert found["abs_rel_affine"] == pytest.approx(0.0, abs=1e-9)


def test_the_affine_fit_undoes_scale_and_shift_of_inverse_depth_alone():
    truth = np.linspace(2, 30, 60).reshape(6, 10)
    scores = Scores()
    scores.add(1 / (3 / truth + 0.2), truth)
    found = scores.result()
    assert found["abs_rel_affine"] == pytest.approx(0.0, abs=1e-9)
    assert found["abs_rel_median"] > 0.1


def test_a_constant_error_by_hand():
    truth = np.array([[2.0, 4.0, 10.0, 20.0]] * 3)
    scores = Scores()
    scores.add(truth + 1, truth)
    found = scores.result()
    assert found["abs_rel"] == pytest.approx((1 / 2 + 1 / 4 + 1 / 10 + 1 / 20) / 4)
    assert found["rmse"] == pytest.approx(1.0)
    # 3/2 is more than 1.25; 5/4 is not less; 11/10 and 21/20 are.
    assert found["delta1"] == pytest.approx(0.5)


def test_sky_unknown_and_far_pixels_do_not_count_and_few_make_no_image():
    truth = np.full((4, 10), 5.0)
    truth[0], truth[1, :5], truth[1, 5:] = np.inf, np.nan, 90.0
    depth = np.full((4, 10), 5.0)
    depth[:2] = 77.0
    scores = Scores()
    scores.add(depth, truth)
    assert scores.result()["abs_rel"] == 0.0
    few = Scores()
    truth[2:] = np.nan
    truth[2, :9] = 5.0
    few.add(depth, truth)
    assert few.result() == {}


def test_reflective_pixels_are_scored_apart():
    truth = np.full((4, 10), 10.0)
    depth, mirror = truth.copy(), np.zeros((4, 10))
    mirror[:2] = 0.5
    depth[:2] = 13.0
    scores = Scores()
    scores.add(depth, truth, mirror)
    found = scores.result()
    assert found["reflective_abs_rel"] == pytest.approx(0.3)
    assert found["matte_abs_rel"] == 0.0
    assert found["abs_rel"] == pytest.approx(0.15)


def test_means_are_over_images():
    scores = Scores()
    for factor, rows in ((1.1, 2), (1.3, 8)):
        truth = np.full((rows, 10), 7.0)
        scores.add(truth * factor, truth)
    assert scores.result()["abs_rel"] == pytest.approx(0.2)


def test_edges_of_dense_and_of_sparse_truth():
    """A jump in the prediction where truth jumps, and one where it does not."""
    truth = np.full((20, 100), 10.0)
    truth[:, 50:] = 20.0
    depth = truth.copy()
    depth[:, 80:] = 30.0
    dense = Scores()
    dense.add(depth, truth)
    assert dense.result()["edges_f1"] == pytest.approx(2 * 20 / (40 + 20))
    sparse = np.full((20, 100), np.nan)
    sparse[::4, 48:52] = truth[::4, 48:52]
    points = Scores()
    points.add(depth, sparse)
    assert points.result()["edges_f1"] == 1.0


def test_how_truth_is_compared_does_not_depend_on_the_sky():
    truth = np.full((20, 100), np.inf)
    truth[17:] = 10.0  # seen on 15 % of the image, known everywhere
    depth = np.full((20, 100), 10.0)
    scores = Scores()
    scores.add(depth, truth)
    assert scores.result().get("edges_f1") is None  # no jump along a row
    truth[17:, 50:] = np.inf
    scores.add(depth, truth)
    assert scores.result()["edges_f1"] == 0.0  # the edge before the sky was missed


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of two flat drives of two sets."""
    folder = tmp_path_factory.mktemp("flat")
    depth = plane_depth(MODEL.rays(), FRONT, GroundPlane()).astype(np.float32)
    label = np.where(np.isfinite(depth), 0, 10).astype(np.uint8)
    mirror = {"mirror": np.where(np.isfinite(depth), 0.5, 0).astype(np.float32)}
    camera = TrueCamera(
        "front", MODEL, FRONT, FRONT, np.full((72, 128, 3), 80, np.uint8), depth, label, mirror
    )
    sets = [TrueFrameSet(f"{i:08d}", (camera,), GroundPlane(), {"drive": i // 2}) for i in range(4)]
    data = b"".join(map(encode_set, sets)) + TAR_END
    (folder / "0.tar").write_bytes(data)
    manifest = {
        "format": "depth_perception world shards",
        "version": 1,
        "arguments": {"sets_per_drive": 2},
        "shards": [{"name": "0.tar", "sets": 4, "bytes": len(data)}],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def plane_of(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Depth of the nominal plane by each sample's own rays and camera, (N, 1, H/4, W/4)."""
    slope = -(batch["rays"] * batch["camera"][:, :3, None, None]).sum(1, keepdim=True)
    return batch["camera"][:, 3, None, None, None] / slope.clamp(min=1e-4)


def test_a_system_that_is_told_the_plane_scores_on_shards_and_drives(flat, kitti):
    data = data_of()
    found = score_all(plane_of, replace(data, validation=str(flat), tests=(kitti,)), most=3)
    # Rays are of blocks of 4 px: linear interpolation of depth errs a little.
    assert found["abs_rel"] < 0.08 and found["reflective_abs_rel"] == found["abs_rel"]
    prefix = f"{name_of(kitti)}."
    assert found[f"{prefix}abs_rel"] < 0.08 and found[f"{prefix}delta1"] > 0.95
    assert f"{prefix}reflective_abs_rel" not in found


def test_a_score_is_of_as_many_images_as_asked_for(flat, monkeypatch):
    seen = []

    def predict(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        seen.append(len(batch["image"]))
        return plane_of(batch)

    score(predict, data_of(), str(flat), most=3, batch=2)
    assert seen == [2, 1]
    seen.clear()
    score(predict, data_of(), str(flat))
    assert seen == [4]


def test_a_batch_has_what_all_its_samples_have(flat, kitti):
    """Only one of the two has a layer of truth, and a LiDAR's drive none."""
    samples = TrainingImages(replace(data_of(str(flat), kitti), workers=0))
    layers = [set(samples[(k, 0, 0)]) for k in (0, len(samples) - 1)]
    assert "mirror" in layers[0] - layers[1]
    requests = [[(0, 0, 0), (len(samples) - 1, 0, 0)], [(len(samples) - 1, 0, 0), (0, 0, 0)]]
    for batch in loader(samples, requests, 0):
        assert set(batch) == layers[1] and batch["image"].shape[0] == 2


def test_drives_are_scored_without_a_validation_set(flat):
    found = score_all(plane_of, replace(data_of(), tests=(str(flat),)), most=2)
    assert f"{flat.name}.abs_rel" in found and "abs_rel" not in found


def test_a_source_is_scored_at_the_size_of_its_shape(flat, kitti):
    """Sizes of the run: square, twice as wide as high, and four times."""
    sizes = []

    def predict(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        sizes.append(tuple(batch["image"].shape[:1:-1]))
        return plane_of(batch)

    data = replace(data_of(), sizes=((64, 64), (128, 64), (256, 64)))
    shapes = []
    for source in (str(flat), kitti):
        model = TrainingImages(data, (source,))._readers[0].read(0).cameras[0].model
        shapes.append(model.width / model.height)
        score(predict, data, source, most=1)
    nearest = [min((1, 2, 4), key=lambda x: abs(np.log(x / shape))) for shape in shapes]
    assert sizes == [{1: (64, 64), 2: (128, 64), 4: (256, 64)}[x] for x in nearest]


def test_names_of_sources():
    assert name_of("bag:/data/bags/kitti_drive?params=kitti") == "kitti_drive"
    assert name_of("data/val/") == "val" and name_of("nuscenes:/data/nuscenes") == "nuscenes"


def test_a_prediction_with_holes_is_scored_where_it_is():
    truth = np.linspace(2, 30, 60).reshape(6, 10)
    depth = truth.copy()
    depth[0, 3] = np.nan
    scores = Scores()
    scores.add(depth, truth)
    assert scores.result()["abs_rel_affine"] == pytest.approx(0.0, abs=1e-9)


def test_mirroring_a_sparse_set_twice_changes_nothing(kitti):
    sample = TrainingImages(data_of(kitti))._readers[0].read(0)
    twice = mirrored(mirrored(sample))
    np.testing.assert_array_equal(twice.cameras[0].depth, sample.cameras[0].depth)
    assert sample.facts["stamp"] == START
    assert np.nanmax(sample.cameras[0].depth) == pytest.approx(np.nanmax(by_hand()), rel=1e-5)
    assert np.allclose(inverse(FRONT) @ FRONT, np.eye(4)) and ROWS[0] - ROW == 7
    assert scoring.FARTHEST == 80.0

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

"""The fused estimator: geometry goes in as measured, cameras do not touch one another.

One network here says everywhere "road, at the plane's depth": what comes out is known in closed
form, for every lens and calibration. The other has random weights.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tiny_fused
from tiny_drive import write_drive

from depth_perception.cli.main import main
from depth_perception.datasets.bag import BagReader
from depth_perception.errors import ConfigurationError, ModelError
from depth_perception.frames.frame_set import CameraFrame, FrameSet
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.camera_view import camera_view, oblique_sigma
from depth_perception.geometry.embodied_depth import Level
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.rig import Rig, RigCamera
from depth_perception.geometry.surface import Surface
from depth_perception.inference.network_inputs import (
    AXES,
    axis_sizes,
    network_camera,
    network_rays,
    network_size,
    tensor_shapes,
    usual_width,
    view_camera,
)
from depth_perception.inference.onnx_session import CPU
from depth_perception.parameters import from_flat
from depth_perception.pipeline import SurroundPipeline

WIDE = CameraModel(128, 64, np.array([[90.0, 0, 63.5], [0, 90.0, 20.0], [0, 0, 1]]))
TALL = CameraModel(96, 96, np.array([[80.0, 0, 47.5], [0, 80.0, 30.0], [0, 0, 1]]))
FISHEYE = CameraModel(
    128,
    96,
    np.array([[50.0, 0, 63.5], [0, 50.0, 40.0], [0, 0, 1]]),
    np.array([0.02, -0.01, 0.0, 0.0]),
    "equidistant",
)


@pytest.fixture(scope="module")
def plane_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("plane") / "plane.onnx"
    return tiny_fused.model(path, tiny_fused.network(plane=True))


@pytest.fixture(scope="module")
def random_model(tmp_path_factory):
    return tiny_fused.model(tmp_path_factory.mktemp("random") / "m.onnx", tiny_fused.network())


def mounted(name: str, model: CameraModel, pitch: float = 0.0, height: float = 1.5) -> RigCamera:
    """A camera that looks ahead, ``pitch`` degrees down."""
    c, s = np.cos(np.radians(pitch)), np.sin(np.radians(pitch))
    T = np.eye(4)
    T[:3, :3] = [[0, -s, c], [-1, 0, 0], [0, -c, -s]]
    T[:3, 3] = [1.0, 0.0, height]
    return RigCamera(name, model, T, name, model)


def rig_of(*cameras: RigCamera) -> Rig:
    return Rig({camera.name: camera for camera in cameras}, "base_link")


def images(rig: Rig, seed: int = 0, leave_out: tuple[str, ...] = ()) -> FrameSet:
    frames = {}
    for number, camera in enumerate(rig):
        rng = np.random.default_rng([seed, number])
        shape = (camera.model.height, camera.model.width, 3)
        frames[camera.name] = CameraFrame(1, rng.integers(0, 256, shape, dtype=np.uint8))
    return FrameSet(1, {name: item for name, item in frames.items() if name not in leave_out})


def pipeline(path, **values):
    names = {key.replace("__", "."): value for key, value in values.items()}
    return SurroundPipeline(
        from_flat({"estimator": "fused", "fused.model": str(path), "occupancy.size": 4.0, **names})
    )


def off_the_plane(camera) -> float:
    """Largest relative difference to the plane, where that is near."""
    near = (camera.plane > 1) & (camera.plane < 7) & (camera.surface == Surface.ROAD)
    # Depth is enlarged from stride 4: near the horizon and the border it is not the plane's own.
    near[:, :4] = near[:, -4:] = near[-4:] = False
    assert near.sum() > 300
    return float(np.quantile(np.abs(camera.depth[near] / camera.plane[near] - 1), 0.98))


@pytest.mark.parametrize(
    "camera",
    [
        mounted("pinhole", WIDE),
        mounted("pitched", WIDE, pitch=12.0, height=2.2),
        mounted("fisheye", FISHEYE, pitch=20.0),
    ],
    ids=lambda camera: camera.name,
)
def test_calibration_reaches_the_network_as_measured(plane_model, camera):
    rig = rig_of(camera)
    made = pipeline(plane_model)
    result = made.process(images(rig), rig)
    made.close()
    (found,) = result.cameras.values()
    assert off_the_plane(found) < 0.02
    assert (found.level[found.surface == Surface.ROAD] == Level.ROAD)[
        np.isfinite(found.depth[found.surface == Surface.ROAD])
    ].all()
    right = 1 - np.exp(-0.1 / tiny_fused.CONFIDENCE_SIGMA)
    oblique = oblique_sigma(found.camera.rays())  # nobody is sure of the edge of a fisheye
    known = np.isfinite(found.depth)
    sure = known if oblique is None else known & (oblique == 0)
    assert sure.mean() > 0.3
    assert found.confidence[sure] == pytest.approx(right, abs=1e-4)
    assert (found.confidence[known & ~sure] < right + 1e-4).all()
    assert (found.confidence[~np.isfinite(found.depth)] == 0).all()
    assert (result.estimator, result.provider) == ("fused", CPU)
    assert result.model == "other fp32 (plane.onnx)"


def test_a_wrong_calibration_is_believed_as_far_as_it_goes(plane_model):
    right, wrong = rig_of(mounted("a", WIDE, pitch=5.0)), rig_of(mounted("a", WIDE, pitch=6.0))
    made = pipeline(plane_model)
    depth = [made.process(images(right), rig).cameras["a"] for rig in (right, wrong, right)]
    made.close()
    assert off_the_plane(depth[1]) < 0.02
    np.testing.assert_array_equal(depth[0].depth, depth[2].depth)
    # One degree down shortens 6 m from 1.5 m high by about 7 %.
    row = np.argmin(np.abs(depth[0].plane[:, 64] - 6))
    assert depth[1].depth[row, 64] / depth[0].depth[row, 64] == pytest.approx(0.93, abs=0.02)


def test_a_missing_camera_leaves_the_others_bit_for_bit(random_model):
    rig = rig_of(*(mounted(name, WIDE, pitch=p) for p, name in enumerate("abc")))
    made = pipeline(random_model)
    whole = made.process(images(rig), rig)
    assert np.isfinite(whole.cameras["c"].depth).mean() > 0.1
    for absent in ("a", "b", "c"):
        part = made.process(images(rig, leave_out=(absent,)), rig)
        assert list(part.cameras) == [name for name in "abc" if name != absent]
        assert part.missing == {absent: "no image in this frame set"}
        for name, camera in part.cameras.items():
            np.testing.assert_array_equal(camera.depth, whole.cameras[name].depth)
            np.testing.assert_array_equal(camera.confidence, whole.cameras[name].confidence)
    made.close()


def test_results_stay_when_the_next_frame_set_is_computed(random_model):
    rig = rig_of(mounted("a", WIDE))
    made = pipeline(random_model)
    first = made.process(images(rig, 1), rig).cameras["a"]
    kept = first.depth.copy(), first.image.copy()
    second = made.process(images(rig, 2), rig).cameras["a"]
    made.close()
    np.testing.assert_array_equal(first.depth, kept[0])
    np.testing.assert_array_equal(first.image, kept[1])
    assert not np.array_equal(first.depth, second.depth)


def test_cameras_of_different_aspects_are_batches_of_their_own(plane_model):
    rig = rig_of(mounted("a", WIDE), mounted("b", TALL), mounted("c", WIDE, pitch=3.0))
    made = pipeline(plane_model)
    result = made.process(images(rig), rig)
    assert list(result.cameras) == ["a", "b", "c"]
    assert {n: c.depth.shape for n, c in result.cameras.items()} == {
        "a": (64, 128),
        "b": (96, 96),
        "c": (64, 128),
    }
    for camera in result.cameras.values():
        assert off_the_plane(camera) < 0.02
    sessions = [batch.session for batch in made.estimator._batches.values()]
    assert len(sessions) == 2
    # Only one of the sizes is left: the other's memory is given back.
    alone = rig_of(mounted("b", TALL))
    made.process(images(alone), alone)
    assert [ended(s) for s in sessions] == [True, False]
    made.close()
    assert [ended(s) for s in sessions] == [True, True]


def test_a_rig_that_grows_gets_room_and_one_that_shrinks_keeps_it(plane_model):
    both = rig_of(mounted("a", WIDE), mounted("b", WIDE, pitch=4.0))
    one = rig_of(mounted("b", WIDE, pitch=4.0))
    made = pipeline(plane_model)
    first = made.process(images(one), one).cameras["b"]
    made.process(images(both), both)
    session = next(iter(made.estimator._batches.values())).session
    again = made.process(images(one), one).cameras["b"]
    assert next(iter(made.estimator._batches.values())).session is session
    made.close()
    np.testing.assert_allclose(first.depth, again.depth, rtol=1e-5)


def ended(session) -> bool:
    """Whether a session has given everything back."""
    return all(slot._binding is None for slot in session._slots)


def counted(made) -> list[int]:
    """Number of cameras of each session that a pipeline makes from now on."""
    counts: list[int] = []
    make = made.estimator._make

    def counting(count, *rest):
        counts.append(count)
        return make(count, *rest)

    made.estimator._make = counting
    return counts


def test_one_session_serves_all_configured_cameras_as_they_appear(plane_model):
    cameras = [mounted(name, WIDE, pitch=p) for p, name in enumerate("abc")]
    made = pipeline(plane_model, cameras=["a", "b", "c"])
    counts = counted(made)
    for number in (1, 2, 3, 2):
        rig = rig_of(*cameras[:number])
        result = made.process(images(rig), rig)
        assert len(result.cameras) == number
        assert all(off_the_plane(camera) < 0.02 for camera in result.cameras.values())
    made.close()
    assert counts == [3]


def test_a_rig_of_two_sizes_computes_no_slot_that_nobody_takes(plane_model):
    cameras = [mounted("a", WIDE), mounted("b", TALL), mounted("c", WIDE)]
    made = pipeline(plane_model, cameras=["a", "b", "c"])
    counts = counted(made)
    for number in (1, 2, 3, 3):
        rig = rig_of(*cameras[:number])
        made.process(images(rig), rig)
    assert sorted(batch.capacity for batch in made.estimator._batches.values()) == [1, 2]
    made.close()
    assert counts == [3, 2, 2, 1]


@pytest.fixture(scope="module")
def static_model(tmp_path_factory):
    return tiny_fused.model(
        tmp_path_factory.mktemp("static") / "static.onnx",
        tiny_fused.network(plane=True),
        static=True,
        cameras=3,
        image=(80, 128),
        network=(64, 96),
    )


def test_a_static_file_says_sizes_and_serves_smaller_rigs(static_model):
    made = pipeline(static_model)
    assert made.estimator.grid((640, 360)) == (128, 80)
    both = rig_of(mounted("a", WIDE), mounted("b", TALL, pitch=4.0))
    result = made.process(images(both), both)
    assert {camera.depth.shape for camera in result.cameras.values()} == {(80, 128)}
    assert all(off_the_plane(camera) < 0.02 for camera in result.cameras.values())
    one = rig_of(mounted("b", TALL, pitch=4.0))
    alone = made.process(images(one), one).cameras["b"]
    assert off_the_plane(alone) < 0.02
    (batch,) = made.estimator._batches.values()
    assert (batch.capacity, batch.network) == (3, (96, 64))
    four = rig_of(*(mounted(name, WIDE) for name in "abcd"))
    refused = made.process(images(four), four)
    assert refused.cameras == {}
    assert "is for 3 cameras, the rig has 4" in refused.missing["a"]
    made.close()
    with pytest.raises(ModelError, match="is for 3 cameras, the rig has 4"):
        pipeline(static_model, cameras=list("abcd"))


@pytest.mark.parametrize("shape", [(64, 128), (64, 128, 4), (64, 128, 1), (0, 128, 3)])
def test_an_image_of_a_wrong_shape_concerns_its_camera_alone(plane_model, shape):
    rig = rig_of(mounted("a", WIDE), mounted("b", WIDE))
    frames = images(rig)
    made = pipeline(plane_model)
    frames.frames["a"] = CameraFrame(1, np.zeros(shape, np.uint8))
    result = made.process(frames, rig)
    made.close()
    assert list(result.cameras) == ["b"] and off_the_plane(result.cameras["b"]) < 0.02
    assert f"camera a: an image of the shape {list(shape)}" in result.missing["a"]


def test_a_home_folder_in_names_is_found(plane_model, monkeypatch):
    monkeypatch.setenv("HOME", str(plane_model.parent))
    made = pipeline("~/plane.onnx", fused__tensorrt_cache="~/engines")
    assert made.estimator.model == "other fp32 (plane.onnx)"
    made.close()


def test_the_provider_is_that_of_the_session_that_runs(plane_model):
    made = pipeline(plane_model)
    make = made.estimator._make

    def elsewhere(*sizes):
        session = make(*sizes)
        session.provider = "another"
        return session

    made.estimator._make = elsewhere
    rig = rig_of(mounted("a", WIDE))
    assert made.estimator.provider == CPU
    assert made.process(images(rig), rig).provider == "another"
    made.close()


def test_a_close_waits_for_what_is_under_way_and_nothing_is_made_after_it(plane_model):
    made = pipeline(plane_model)
    rig = rig_of(mounted("a", WIDE))
    made.process(images(rig), rig)
    estimator = made.estimator
    (batch,) = estimator._batches.values()
    run, begun, go = batch.session.run, threading.Event(), threading.Event()

    def slow(slot):
        begun.set()
        assert go.wait(20)
        return run(slot)

    batch.session.run = slow
    with ThreadPoolExecutor(2) as threads:
        result = threads.submit(made.process, images(rig), rig)
        assert begun.wait(20)
        closing = threads.submit(estimator.close)
        time.sleep(0.1)
        assert not closing.done()
        go.set()
        assert off_the_plane(result.result(20).cameras["a"]) < 0.02
        closing.result(20)
    assert ended(batch.session)
    assert "closed" in made.process(images(rig), rig).missing["a"]
    assert not estimator._batches
    made.close()


def test_own_body_and_what_no_lens_sees_has_no_depth(plane_model):
    mask = np.zeros((64, 128), bool)
    mask[50:] = True
    camera = mounted("a", WIDE)
    rig = rig_of(RigCamera("a", WIDE, camera.T_base_camera, "a", WIDE, mask))
    made = pipeline(plane_model)
    found = made.process(images(rig), rig).cameras["a"]
    made.close()
    assert np.isnan(found.depth[50:]).all() and not np.isnan(found.depth[:50]).any()
    assert (found.surface[50:] == Surface.EGO).all()
    assert (found.level[50:] == Level.UNKNOWN).all()


def test_embodied_depth_goes_with_the_networks_road_and_can_be_left_out(plane_model):
    rig = rig_of(mounted("a", WIDE))
    made = pipeline(plane_model)
    found = made.process(images(rig), rig).cameras["a"]
    near = found.plane < 30
    np.testing.assert_allclose(found.embodied[near], found.plane[near], rtol=1e-5)
    without = made.process(images(rig), rig, embodied=False).cameras["a"]
    made.close()
    assert np.isnan(without.embodied).all()
    np.testing.assert_array_equal(found.depth, without.depth)


def test_a_configured_segmentation_says_where_the_road_is(plane_model):
    rig = rig_of(mounted("a", WIDE))
    made = pipeline(plane_model, segmentation__source="geometric")
    found = made.process(images(rig), rig).cameras["a"]
    made.close()
    assert 0 < (found.surface == Surface.ROAD).mean() < 0.9
    assert off_the_plane(found) < 0.02
    with pytest.raises(ConfigurationError, match="estimator is embodied"):
        SurroundPipeline(from_flat({"estimator": "embodied", "segmentation.source": "network"}))


def test_a_network_narrower_than_the_grid_is_enlarged(plane_model):
    rig = rig_of(mounted("a", WIDE))
    made = pipeline(plane_model, fused__width=64)
    found = made.process(images(rig), rig).cameras["a"]
    made.close()
    assert found.depth.shape == (64, 128)
    near = (found.plane < 8) & (np.arange(64) < 56)[:, None]
    assert np.quantile(np.abs(found.depth[near] / found.plane[near] - 1), 0.9) < 0.05


@pytest.mark.parametrize(
    ("grid", "width", "size"),
    [
        ((640, 360), 640, (640, 352)),  # nuScenes
        ((640, 402), 640, (640, 416)),  # DDAD
        ((640, 193), 640, (640, 192)),  # KITTI
        ((640, 360), 512, (512, 288)),
        ((320, 200), 640, (320, 192)),
        ((1280, 720), 1000, (992, 544)),
        ((64, 8), 640, (64, 32)),
        ((20, 300), 640, (32, 480)),
    ],
)
def test_the_networks_size_keeps_the_aspect(grid, width, size):
    assert network_size(grid, width) == size


@pytest.mark.parametrize(
    ("grid", "width"), [((640, 360), 512), ((640, 402), 512), ((640, 193), 699), ((320, 240), 512)]
)
def test_flat_images_get_as_many_pixels_as_others(grid, width):
    assert usual_width(grid) == width


def test_training_and_robot_tell_the_network_the_same_of_a_camera():
    for pitch, height in ((0.0, 1.5), (12.0, 2.2), (3.0, 0.5)):
        camera = mounted("a", WIDE, pitch, height)
        ground = GroundPlane()
        trained = network_camera(WIDE.resized(64, 32), camera.T_base_camera, ground)
        view = camera_view(camera, ground, 0)
        np.testing.assert_allclose(view_camera(view, (64, 32)), trained, rtol=1e-6)
        assert trained[3] == pytest.approx(height)
    low = mounted("a", WIDE, 0.0, 0.01).T_base_camera
    assert network_camera(WIDE, low, GroundPlane())[3] == pytest.approx(0.05)
    assert (network_camera(WIDE, np.eye(4), None) == [0, 0, 0, 0, 90]).all()


def test_axes_and_shapes_are_those_of_the_file():
    sizes = axis_sizes(3, (128, 80), (96, 64))
    shapes = tensor_shapes(3, (128, 80), (96, 64))
    assert shapes["rays"] == (3, 3, 16, 24) and shapes["depth"] == (3, 80, 128)
    for name, axes in AXES.items():
        assert {axis: shapes[name][place] for place, axis in axes.items()} == {
            axis: sizes[axis] for axis in axes.values()
        }


def test_rays_are_those_of_pixels_at_stride_four():
    rays = network_rays(WIDE, (64, 32))
    assert rays.shape == (3, 8, 16)
    # The first centre at stride 4 of a half-size image is pixel (3.5, 3.5) of the whole.
    assert rays[:, 0, 0] == pytest.approx([(3.5 - 63.5) / 90, (3.5 - 20) / 90, 1])
    blind = CameraModel(
        128, 96, np.array([[20.0, 0, 63.5], [0, 20.0, 47.5], [0, 0, 1]]), np.zeros(4), "equidistant"
    )
    rays = network_rays(blind, (128, 96))
    assert np.isfinite(rays).all() and (rays[:, 0, 0] == 0).all() and rays[2, 12, 16] == 1


def test_what_cannot_run_is_refused_before_the_first_image(plane_model, tmp_path):
    with pytest.raises(ModelError, match="require_gpu"):
        pipeline(plane_model, fused__require_gpu=True)
    with pytest.raises(ModelError, match="cannot be read"):
        pipeline(tmp_path / "absent.onnx")
    (tmp_path / "damaged.onnx").write_bytes(plane_model.read_bytes()[:-9])
    with pytest.raises(ModelError, match=r"damaged\.onnx"):
        pipeline(tmp_path / "damaged.onnx")


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    return write_drive(tmp_path_factory.mktemp("drive") / "bag")


def test_verbs_take_the_estimator(drive, plane_model, tmp_path, capsys):
    chosen = ["--set", "estimator=fused", "--set", f"fused.model={plane_model}"]
    report = tmp_path / "scores.json"
    assert main(["evaluate", str(drive), *chosen, "--json", str(report)]) == 0
    assert "fused on CPUExecutionProvider" in capsys.readouterr().out
    assert main(["replay", str(drive), *chosen, "--output", str(tmp_path / "out")]) == 0
    with BagReader(drive, from_flat({})) as reader:
        assert len(list(reader.frame_sets())) == 3


def test_several_threads_may_bring_images(plane_model):
    rig = rig_of(*(mounted(f"c{i}", WIDE, pitch=i) for i in range(5)))
    made = pipeline(plane_model)
    made._pool.shutdown()
    made._pool = ThreadPoolExecutor(5)
    for seed in range(3):
        result = made.process(images(rig, seed), rig)
        assert all(off_the_plane(camera) < 0.02 for camera in result.cameras.values())
    made.close()


@pytest.fixture
def small_grid(monkeypatch):
    """The benchmark on a fifth of the pixels: what it says, not how long it takes, counts.

    As 640x360 is looked at as 640x352, 288x162 is as 288x160.
    """
    from depth_perception.benchmarks import fused

    monkeypatch.setattr(fused, "GRID", 288)


def test_the_benchmark_tells_stages_and_what_is_left_out(plane_model, small_grid):
    from depth_perception.benchmarks.fused import measure, table

    def once(run, repeats):
        run()
        return [0.001] * repeats

    names = {f"lite {precision}": str(plane_model) for precision in ("fp32", "int8")}
    result = measure(2, once, names)
    item = result["lite int8 on the CPU"]
    assert item["provider"] == CPU and item["file"] == "plane.onnx"
    assert list(item["stages"])[1] == "network, 288x160 (x6)"
    text = "\n".join(table({**result, "base fp16 on the GPU": {"left out": "no weights"}}))
    assert "aim 100 ms in all" in text and "left out, no weights" in text


def test_the_benchmark_goes_on_without_a_gpu(plane_model, small_grid, monkeypatch):
    import onnxruntime

    from depth_perception.benchmarks.fused import measure, table

    # onnxruntime-gpu on a machine without one: it lists what it was built with.
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", CPU]
    )
    models = {"lite fp32", "lite int8", "base fp16"}
    result = measure(1, lambda run, n: [0.001] * n, dict.fromkeys(models, str(plane_model)))
    assert result["lite int8 on the CPU"]["provider"] == CPU
    assert "base fp16 on the GPU: left out, model" in "\n".join(table(result))

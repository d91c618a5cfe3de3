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

"""Class maps, ONNX segmenters, and the sources of surfaces."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from tiny_onnx import write_model

from depth_perception.errors import ConfigurationError, ModelError
from depth_perception.frames.frame_set import CameraFrame
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.camera_view import CameraView, camera_view
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.rig import RigCamera
from depth_perception.geometry.transforms import OPTICAL_AXES
from depth_perception.inference.onnx_session import CPU, OnnxSession
from depth_perception.parameters import SegmentationParameters
from depth_perception.segmentation.classes import Surface, class_map
from depth_perception.segmentation.onnx_segmenter import OnnxSegmenter
from depth_perception.segmentation.sources import GeometricSource, LabelSource, make_source

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("DEPTH_PERCEPTION_SHARED", ROOT.parent / "shared"))
CONFIG = ROOT / "config" / "segmentation"
RED, GREEN, BLUE = (0, 0, 255), (0, 255, 0), (255, 0, 0)


def test_cityscapes_ids_mean_what_the_data_set_says():
    labels = np.array([[0, 1, 2, 8, 9], [10, 11, 13, 255, 19]], dtype=np.uint8)
    expected = [
        [Surface.ROAD, Surface.GROUND, Surface.STRUCTURE, Surface.STRUCTURE, Surface.GROUND],
        [Surface.SKY, Surface.OBJECT, Surface.OBJECT, Surface.UNKNOWN, Surface.UNKNOWN],
    ]
    np.testing.assert_array_equal(class_map("cityscapes").apply(labels), expected)
    full = class_map("cityscapes_ids").apply(np.array([[1, 7, 9, 23, 26]], np.int32))
    np.testing.assert_array_equal(
        full, [[Surface.EGO, Surface.ROAD, Surface.GROUND, Surface.SKY, Surface.OBJECT]]
    )


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64, np.uint16, np.uint64])
def test_ids_outside_the_map_are_unknown(dtype):
    info = np.iinfo(dtype)
    labels = np.array([[info.min, -1 if info.min else 100, 0, info.max]], dtype=dtype)
    expected = [[Surface.ROAD if info.min == 0 else 0, 0, Surface.ROAD, 0]]
    np.testing.assert_array_equal(class_map("cityscapes").apply(labels), expected)


def test_a_file_extends_a_built_in_map():
    labels = np.array([[0, 255]], dtype=np.uint8)
    classes = class_map(CONFIG / "labels_cityscapes_ego.yaml")
    np.testing.assert_array_equal(classes.apply(labels), [[Surface.ROAD, Surface.EGO]])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("classes: {0: {name: a, surface: raod}}", "'road'"),
        ("classes: {0: {name: a, surfase: road}}", "surface"),
        ("classes: {-1: {name: a, surface: road}}", "class id -1"),
        ("classes: {a: {name: a, surface: road}}", "class id 'a'"),
        ("clases: {}", "'classes'"),
        ("base: cityscape\nclasses: {0: {surface: road}}", "'cityscapes'"),
        ("classes: [", "no YAML"),
        ("", "nothing"),
    ],
)
def test_wrong_class_maps_are_refused_with_the_right_word(tmp_path, content, said):
    path = tmp_path / "classes.yaml"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=said):
        class_map(path)


def test_a_misspelt_class_map_is_told_the_right_name():
    with pytest.raises(ConfigurationError, match="'cityscapes'"):
        class_map("cityscape")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        class_map("absent.yaml")


def describe(folder: Path, **changes) -> Path:
    """Write a description of the network whose three scores are red, green and blue."""
    description = {
        "model": "tiny.onnx",
        "input": {"width": 8, "height": 8, "color": "rgb", **changes.pop("input", {})},
        "outputs": [
            {
                "name": "scores",
                "classes": {
                    0: {"name": "red", "surface": "road"},
                    1: {"name": "green", "surface": "ground"},
                    2: {"name": "blue", "surface": "sky"},
                },
            }
        ],
        **changes,
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(description))
    return path


@pytest.fixture
def colours(tmp_path):
    """Return a folder with the network whose scores are the image's red, green and blue."""
    write_model(tmp_path / "tiny.onnx", {"scores": np.eye(3).tolist()})
    return tmp_path


def plain(colour, width=8, height=8):
    return np.full((height, width, 3), colour, dtype=np.uint8)


def test_colour_order_and_classes_are_as_described(colours):
    segmenter = OnnxSegmenter(describe(colours))
    assert segmenter.provider == CPU
    assert (segmenter.segment(plain(RED)) == Surface.ROAD).all()
    assert (segmenter.segment(plain(GREEN)) == Surface.GROUND).all()
    segmenter = OnnxSegmenter(describe(colours, input={"color": "bgr"}))
    assert (segmenter.segment(plain(RED)) == Surface.SKY).all()


@pytest.mark.parametrize("size", [(8, 8), (64, 16), (17, 33), (4, 4)])
@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
def test_an_edge_stays_where_it_is_at_any_size_and_aspect(colours, size, resize):
    width, height = size
    image = plain(RED, width, height)
    image[:, width // 2 :] = BLUE
    segmenter = OnnxSegmenter(describe(colours, input={"resize": resize}))
    surface = segmenter.segment(image)
    assert surface.shape == (height, width)
    # Half a pixel of the network's input, in pixels of the image, to either side.
    margin = int(np.ceil(width / 8 / 2)) + 1
    assert (surface[:, : width // 2 - margin] == Surface.ROAD).all()
    assert (surface[:, width // 2 + margin :] == Surface.SKY).all()


def test_pixels_are_normalised_by_scale_mean_and_std(tmp_path):
    write_model(tmp_path / "tiny.onnx", {"scores": [[1, 0, 0]]})
    changes = {"scale": 0.01, "mean": [0.5, 0, 0], "std": [0.25, 1, 1]}
    output = {
        "index": 0,
        "decode": "threshold",
        "threshold": 3.0,
        "classes": {0: {"name": "no", "surface": "other"}, 1: {"name": "yes", "surface": "road"}},
    }
    segmenter = OnnxSegmenter(describe(tmp_path, input=changes, outputs=[output]))
    # (125 * 0.01 - 0.5) / 0.25 = 3.0; the next grey level is above the threshold.
    assert (segmenter.segment(plain((0, 0, 124))) == Surface.OTHER).all()
    assert (segmenter.segment(plain((0, 0, 126))) == Surface.ROAD).all()


def test_the_first_output_that_is_sure_decides(tmp_path):
    # Two scores each; the second is high on red, or on green.
    write_model(
        tmp_path / "tiny.onnx", {"area": [[0, 0, 0.5], [1, 0, 0]], "line": [[0, 0, 0.5], [0, 1, 0]]}
    )
    both = [
        {
            "name": name,
            "classes": {
                0: {"name": "other", "surface": "other"},
                1: {"name": name, "surface": surface},
            },
        }
        for name, surface in (("area", "road"), ("line", "ground"))
    ]
    segmenter = OnnxSegmenter(describe(tmp_path, outputs=both))
    assert (segmenter.segment(plain(RED)) == Surface.ROAD).all()
    assert (segmenter.segment(plain(GREEN)) == Surface.GROUND).all()
    assert (segmenter.segment(plain((0, 255, 255))) == Surface.ROAD).all()
    assert (segmenter.segment(plain(BLUE)) == Surface.OTHER).all()


def test_a_model_of_dynamic_size_runs_at_the_described_size(tmp_path):
    write_model(tmp_path / "tiny.onnx", {"scores": np.eye(3).tolist()}, size=("h", "w"))
    segmenter = OnnxSegmenter(describe(tmp_path, input={"width": 20, "height": 12}))
    assert (segmenter.segment(plain(GREEN, 40, 24)) == Surface.GROUND).all()


CLASSES = {i: {"name": str(i), "surface": "road"} for i in range(3)}


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"input": {"width": 16}}, ModelError, "set input.width: 8"),
        ({"input": {"layout": "nhwc"}}, ModelError, "input.layout"),
        ({"input": {"dtype": "float16"}}, ModelError, "set input.dtype: float32"),
        ({"input": {"colour": "rgb"}}, ConfigurationError, "'color'"),
        ({"input": {"color": "hsv"}}, ConfigurationError, "rgb, bgr"),
        ({"input": {"std": [1, 1, 0]}}, ConfigurationError, "input.std is 0"),
        ({"outputs": [{"name": "score", "classes": CLASSES}]}, ModelError, "'scores'"),
        ({"outputs": [{"index": 3, "classes": CLASSES}]}, ModelError, "0 to 0"),
        ({"outputs": [{"index": 0, "classes": "cityscapes"}]}, ModelError, "gives 3 channels"),
        ({"outputs": [{"index": 0, "decode": "ids", "classes": CLASSES}]}, ModelError, "argmax"),
        ({"outputs": []}, ConfigurationError, "outputs"),
        ({"model": "absent.onnx"}, ModelError, "DEPTH_PERCEPTION_MODELS"),
        ({"model": "${NO_SUCH_VARIABLE}/a.onnx"}, ConfigurationError, "NO_SUCH_VARIABLE"),
    ],
)
def test_a_wrong_description_names_the_key_to_change(colours, changes, error, said):
    with pytest.raises(error) as caught:
        OnnxSegmenter(describe(colours, **changes))
    assert said in str(caught.value)


def test_models_are_found_by_the_environment(colours, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setenv("DEPTH_PERCEPTION_MODELS", f"/nowhere{os.pathsep}{colours}")
    assert OnnxSegmenter(describe(elsewhere)).session.path == (colours / "tiny.onnx").resolve()


def test_models_that_cannot_be_loaded_say_so(colours, tmp_path):
    with pytest.raises(ModelError, match="does not exist"):
        OnnxSession(tmp_path / "absent.onnx")
    (tmp_path / "cut.onnx").write_bytes((colours / "tiny.onnx").read_bytes()[:50])
    with pytest.raises(ModelError, match=r"cut\.onnx.*cannot be loaded"):
        OnnxSession(tmp_path / "cut.onnx")
    with pytest.raises(ConfigurationError, match="'cuda'"):
        OnnxSession(colours / "tiny.onnx", ["cuda0"])
    with pytest.raises(ModelError, match="failed on"):
        OnnxSession(colours / "tiny.onnx").run({"image": np.zeros((1, 3, 4, 4), np.float32)})


def test_a_gpu_that_is_required_is_not_silently_replaced(colours):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    assert OnnxSession(colours / "tiny.onnx", ["cuda"]).provider == CPU
    with pytest.raises(ModelError, match="require_gpu"):
        OnnxSession(colours / "tiny.onnx", ["cuda"], require_gpu=True)


def forward_view(ego: bool = False) -> CameraView:
    """Return a camera 1.5 m above the road that looks ahead: depth 150 / (v - 49.5) metres."""
    T = np.eye(4)
    T[:3, :3] = OPTICAL_AXES
    T[2, 3] = 1.5
    model = CameraModel(160, 100, [[100, 0, 79.5], [0, 100, 49.5], [0, 0, 1]])
    mask = None
    if ego:
        mask = np.zeros((100, 160), dtype=bool)
        mask[95:] = True
    camera = RigCamera("CAM", model, T, "cam", model, mask)
    return camera_view(camera, GroundPlane(), 0)


def test_the_geometric_corridor_is_eight_metres_wide_and_thirty_long():
    said: list[str] = []
    source = GeometricSource(said.append)
    view = forward_view(ego=True)
    frame = CameraFrame(0, np.zeros((100, 160, 3), np.uint8))
    surface = source.segment(view, frame, frame.image).surface
    source.segment(view, frame, frame.image)
    assert len(said) == 1 and "assumed, not seen" in said[0]
    # Row 60: depth 150 / 10.5 = 14.3 m; 4 m to the side are 28.0 columns from the middle.
    np.testing.assert_array_equal(np.flatnonzero(surface[60] == Surface.ROAD), np.arange(52, 108))
    # Row 54 is 33.3 m away, row 55 is 27.3 m away, row 49 looks above the horizon.
    assert surface[54, 80] == Surface.OTHER
    assert surface[55, 80] == Surface.ROAD
    assert (surface[:50] == Surface.OTHER).all()
    assert (surface[95:] == Surface.EGO).all()


def write_labels(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((50, 80), number, np.uint8))


def test_labels_come_from_the_frame_then_the_nearest_file_then_the_fixed_file(tmp_path):
    said: list[str] = []
    view = forward_view(ego=True)
    source = LabelSource(class_map("cityscapes"), tmp_path, said.append)
    image = np.zeros((100, 160, 3), np.uint8)
    write_labels(tmp_path / "CAM" / "1000000000.png", 1)
    write_labels(tmp_path / "CAM" / "1100000000.png", 2)
    write_labels(tmp_path / "CAM.png", 10)

    def top(stamp, labels=None):
        surface = source.segment(view, CameraFrame(stamp, image, labels), image).surface
        assert surface.shape == (100, 160) and surface.dtype == np.uint8
        assert (surface[95:] == Surface.EGO).all()
        return surface[0, 0]

    assert top(1_000_000_000, np.full((10, 16), 13, np.int32)) == Surface.OBJECT
    assert top(1_000_000_000) == Surface.GROUND
    assert top(1_070_000_000) == Surface.STRUCTURE
    assert top(1_150_000_000) == Surface.STRUCTURE
    assert top(1_151_000_000) == Surface.SKY
    assert not said


def test_a_missing_label_image_is_announced_once_and_replaced(tmp_path):
    said: list[str] = []
    view = forward_view()
    image = np.zeros((100, 160, 3), np.uint8)
    source = LabelSource(class_map("cityscapes"), tmp_path, said.append)
    for stamp in (1, 2):
        surface = source.segment(view, CameraFrame(stamp, image), image).surface
        assert surface[60, 80] == Surface.ROAD
    assert len(said) == 1 and "CAM" in said[0] and str(tmp_path) in said[0]


def test_a_colour_picture_is_no_label_image(tmp_path):
    said: list[str] = []
    cv2.imwrite(str(tmp_path / "CAM.png"), np.zeros((10, 10, 3), np.uint8))
    image = np.zeros((100, 160, 3), np.uint8)
    source = LabelSource(class_map("cityscapes"), tmp_path, said.append)
    source.segment(forward_view(), CameraFrame(1, image), image)
    assert "holds colours" in said[0]


def test_auto_takes_the_first_source_that_is_configured(colours):
    parameters = SegmentationParameters()
    assert make_source(parameters, print).name == "geometric"
    labelled = replace(parameters, labels_topic="labels")
    assert make_source(labelled, print).name == "labels"
    assert make_source(replace(labelled, model=str(describe(colours))), print).name == "onnx"
    for source in ("onnx", "labels"):
        with pytest.raises(ConfigurationError, match=f"segmentation.source is {source}"):
            make_source(replace(parameters, source=source), print)
    with pytest.raises(ConfigurationError, match="does not exist"):
        make_source(replace(parameters, labels_folder="/nowhere"), print)


def test_twinlitenet_agrees_with_another_network_on_a_real_road(monkeypatch):
    """Measured: IoU 0.921 on CAM_FRONT, 0.927 on CAM_BACK, against road-segmentation-adas-0001."""
    bag = SHARED / "bags" / "nuscenes_sample"
    if not bag.exists() or not (SHARED / "models" / "twinlitenet.onnx").exists():
        pytest.skip(f"needs bags and models in {SHARED}")
    from depth_perception.datasets.bag import BagReader
    from depth_perception.parameters import Parameters

    monkeypatch.setenv("DEPTH_PERCEPTION_MODELS", str(SHARED / "models"))
    segmenter = OnnxSegmenter(CONFIG / "twinlitenet.yaml")
    classes = class_map(CONFIG / "labels_road_curb_marking.yaml")
    with BagReader(bag, Parameters()) as reader:
        frames = next(iter(reader.frame_sets())).frames
    for camera in ("CAM_FRONT", "CAM_BACK"):
        image = cv2.resize(frames[camera].image, (640, 360))
        road = segmenter.segment(image) == Surface.ROAD
        labels = cv2.imread(str(bag / "road_masks" / camera / f"{frames[camera].stamp}.png"), -1)
        other = cv2.resize(classes.apply(labels), (640, 360), interpolation=cv2.INTER_NEAREST_EXACT)
        other = other == Surface.ROAD
        assert (road & other).sum() / (road | other).sum() > 0.88, camera


def test_instance_ids_of_cityscapes_are_their_class():
    labels = np.array([[7, 26, 26001, 26002, 24007, 60000, -1]])
    surface = class_map("cityscapes_ids").apply(labels)
    car = Surface.OBJECT
    assert surface.tolist() == [[Surface.ROAD, car, car, car, car, Surface.UNKNOWN, 0]]


def test_label_ids_tell_touching_objects_apart():
    view = forward_view()
    labels = np.full((view.camera.height, view.camera.width), 26001, np.int32)
    labels[:, : view.camera.width // 2] = 26002
    source = LabelSource(class_map("cityscapes_ids"), None, print)
    image = np.zeros((view.camera.height, view.camera.width, 3), np.uint8)
    found = source.segment(view, CameraFrame(1, image, labels), image)
    assert (found.surface == Surface.OBJECT).all()
    assert set(np.unique(found.instances)) == {26001, 26002}

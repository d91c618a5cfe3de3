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

"""Every parameter of the package, once: name, default, unit, range, description.

The node declares its ROS parameters from here, replay and evaluation read the same YAML files
(`ros__parameters`), and the documentation table is printed from here. Nested groups become dotted
names: ``Parameters.sync.tolerance`` is ``sync.tolerance``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depth_perception.errors import ConfigurationError
from depth_perception.yaml_mapping import as_float, near_name, nearest, read_yaml_mapping

ESTIMATORS = ("fused", "embodied", "relative")
IMAGE_KINDS = ("rectified", "raw", "auto")
LEVELS = ("road", "ground", "extended", "scene")


def _parameter(
    default: Any,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    live: bool = False,
) -> Any:
    """Declare one parameter; lists get a fresh copy per instance."""
    metadata = {
        "description": description,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "live": live,
    }
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class TfParameters:
    """Which transforms place the cameras."""

    namespace: str = _parameter(
        "",
        "Namespace whose tf and tf_static topics place all cameras, e.g. /robot1, or / for the"
        " global ones; empty: of each camera the longest beginning of its image topic that has"
        " such topics, else the node's own namespace, else /tf and /tf_static.",
    )
    conflicts: str = _parameter(
        "refuse",
        "Of a frame that is told two ways (two parents, or two values that both should hold):"
        " refuse the cameras that depend on it, or take what was told first or last, which is"
        " meant for recordings.",
        choices=("refuse", "first", "last"),
    )


@dataclass(frozen=True)
class SyncParameters:
    """How images become frame sets."""

    policy: str = _parameter(
        "nearest",
        "nearest: sets of images around their mean stamp; anchor: around each image of"
        " sync.anchor; approximate_time: complete sets only, by message_filters.",
        choices=("nearest", "anchor", "approximate_time"),
    )
    anchor: str = _parameter(
        "", "Camera that sync.policy anchor centres sets on; empty: the first camera."
    )
    tolerance: float = _parameter(
        0.05,
        "Images within this time of each other belong to one frame set, s.",
        minimum=0.0,
        maximum=10.0,
        live=True,
    )
    timeout: float = _parameter(
        0.2,
        "A set with cameras missing is used this long after its first image arrived, s; sooner"
        " when the missing cannot come any more.",
        minimum=0.0,
        maximum=60.0,
        live=True,
    )
    queue_size: int = _parameter(
        1,
        "Frame sets that wait while one is computed; the oldest is dropped and counted.",
        minimum=1,
        maximum=1000,
    )

    def anchor_of(self, cameras: Sequence[str]) -> str:
        """Return the camera that sets of these cameras are centred on; empty for none."""
        return (self.anchor or cameras[0]) if self.policy == "anchor" and cameras else ""


@dataclass(frozen=True)
class GroundParameters:
    """The nominal ground plane and how far it may be off."""

    height: float = _parameter(
        0.0,
        "z of the road in the base frame, m (0 when base_frame lies on the road).",
        minimum=-100.0,
        maximum=100.0,
        live=True,
    )
    roll: float = _parameter(
        0.0, "Roll of the road in the base frame, rad.", minimum=-0.5, maximum=0.5, live=True
    )
    pitch: float = _parameter(
        0.0,
        "Pitch of the road in the base frame, rad; positive falls away ahead.",
        minimum=-0.5,
        maximum=0.5,
        live=True,
    )
    roll_std: float = _parameter(
        0.007, "Standard deviation of roll, rad.", minimum=0.0, maximum=0.5, live=True
    )
    pitch_std: float = _parameter(
        0.007,
        "Standard deviation of pitch (load, braking, slope), rad.",
        minimum=0.0,
        maximum=0.5,
        live=True,
    )
    height_std: float = _parameter(
        0.03,
        "Standard deviation of the cameras' height over the road, m.",
        minimum=0.0,
        maximum=1.0,
        live=True,
    )


@dataclass(frozen=True)
class EmbodiedParameters:
    """Depth from geometry."""

    level: str = _parameter(
        "scene",
        "Levels that are filled: road; ground adds other flat surfaces; extended adds what"
        " stands on them; scene fills the rest below the horizon.",
        choices=LEVELS,
        live=True,
    )
    max_range: float = _parameter(
        80.0, "Farther depths are +Inf, m.", minimum=1.0, maximum=1000.0, live=True
    )
    max_object_height: float = _parameter(
        4.0,
        "Height above the ground up to which something of unknown class is assumed to stand"
        " upright, m.",
        minimum=0.0,
        maximum=100.0,
        live=True,
    )


@dataclass(frozen=True)
class FusedParameters:
    """Depth from the fused network."""

    model: str = _parameter(
        "",
        "Model file (.onnx of depth_perception export, or a .pt checkpoint where PyTorch is"
        " installed); empty: the weights that come with the package.",
    )
    width: int = _parameter(
        0,
        "Width of the images that the network looks at, px, to a multiple of 32; the height"
        " keeps the aspect. Narrower is faster. 0: 512, what the shipped weights are most"
        " accurate at.",
        minimum=0,
        maximum=4096,
    )
    rate: float = _parameter(
        24.0,
        "Cameras that the network looks at in a second on a CPU, all together, where"
        " motion.enabled. Where more images come, cameras take turns, and their depth is carried"
        " along by the vehicle's motion between: six cameras at 12 Hz are looked at four times a"
        " second each. 0: all, always. A GPU always looks at all.",
        minimum=0.0,
        maximum=10000.0,
    )
    providers: list[str] = _parameter(
        [],
        "What it runs on, in order of preference: tensorrt, cuda, cpu; empty: cuda where ONNX"
        " Runtime has it, then cpu.",
    )
    require_gpu: bool = _parameter(
        False, "Refuse to start when the network, or a part of it, ends up on the CPU."
    )
    tensorrt_cache: str = _parameter(
        "",
        "Folder for TensorRT's engines, which take minutes to build; empty:"
        " ~/.cache/depth_perception/tensorrt.",
    )


@dataclass(frozen=True)
class RelativeParameters:
    """Depth from any network of relative depth, brought to metres on the road."""

    model: str = _parameter(
        "", "YAML file that describes an ONNX network of relative depth (see config/relative)."
    )
    providers: list[str] = _parameter([], "What it runs on, as fused.providers.")
    require_gpu: bool = _parameter(False, "As fused.require_gpu.")


@dataclass(frozen=True)
class SegmentationParameters:
    """Where the road is."""

    source: str = _parameter(
        "auto",
        "onnx (segmentation.model), labels (topics or segmentation.labels_folder),"
        " geometric (a fixed region ahead of each camera), network (the road of the fused network),"
        " or auto: the first of onnx and labels that is configured, else network with estimator"
        " fused, else geometric.",
        choices=("auto", "onnx", "labels", "geometric", "network"),
    )
    model: str = _parameter(
        "", "YAML file that describes an ONNX segmenter (see config/segmentation)."
    )
    labels_folder: str = _parameter(
        "", "Folder of label images: <camera>/<stamp in ns>.png, or <camera>.png for all stamps."
    )
    labels_topic: str = _parameter(
        "", "Label image topic relative to each camera's camera_info topic, e.g. 'labels'."
    )
    classes: str = _parameter(
        "cityscapes",
        "Class map of label images: cityscapes (train ids), cityscapes_ids (also"
        " instance ids, class x 1000 + number), or a YAML file.",
    )


@dataclass(frozen=True)
class OutputParameters:
    """What is published and how."""

    image_width: int = _parameter(
        640,
        "Width of depth images, px; 0 for the source's. The height keeps the aspect.",
        minimum=0,
        maximum=16384,
    )
    depth_encoding: str = _parameter(
        "32FC1", "32FC1 (metres) or 16UC1 (millimetres).", choices=("32FC1", "16UC1"), live=True
    )


@dataclass(frozen=True)
class CloudParameters:
    """The merged point cloud."""

    voxel_size: float = _parameter(
        0.1,
        "One point per cube of this edge, m; 0 keeps every pixel.",
        minimum=0.0,
        maximum=10.0,
        live=True,
    )
    pixel_step: int = _parameter(
        2,
        "Of so many pixels along rows and columns one is made a point. The network tells cells of"
        " five pixels apart; 1: all of them.",
        minimum=1,
        maximum=64,
        live=True,
    )
    max_range: float = _parameter(
        50.0,
        "Points farther from the base frame (in x and y) are left out, m.",
        minimum=0.5,
        maximum=1000.0,
        live=True,
    )
    min_confidence: float = _parameter(
        0.3,
        "Pixels below this confidence are left out; with estimator embodied the default leaves"
        " out what was filled in from around it.",
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
    obstacle_min_height: float = _parameter(
        0.3,
        "Points at least this far above the ground are obstacles, m.",
        minimum=-10.0,
        maximum=100.0,
        live=True,
    )
    obstacle_max_height: float = _parameter(
        3.0,
        "Points higher than this above the ground are in nobody's way, m.",
        minimum=-10.0,
        maximum=100.0,
        live=True,
    )


@dataclass(frozen=True)
class OccupancyParameters:
    """The occupancy grid."""

    resolution: float = _parameter(
        0.25, "Edge of a cell, m.", minimum=0.01, maximum=10.0, live=True
    )
    size: float = _parameter(
        60.0,
        "Edge of the square map around the base frame, m.",
        minimum=1.0,
        maximum=1000.0,
        live=True,
    )
    min_points: int = _parameter(
        3, "Obstacle points that make a cell occupied.", minimum=1, maximum=10000, live=True
    )


@dataclass(frozen=True)
class MotionParameters:
    """Depth that the vehicle's own motion measures. See docs/motion.md."""

    enabled: bool = _parameter(
        True,
        "Measure depth by parallax while the vehicle moves, and the road's slope with it; embodied"
        " depth then is what was measured, filled from there, and networks that take measured depth"
        " are given it. On a CPU it takes about as much time as the network.",
    )
    image_width: int = _parameter(
        416, "Width of the images that are matched, px.", minimum=64, maximum=4096
    )
    matching_rate: float = _parameter(
        24.0,
        "Cameras that are matched in a second, all together: that is what measuring depth costs."
        " Where more images come, cameras take turns, and what was measured is carried along by the"
        " vehicle's motion between: six cameras at 12 Hz are matched four times a second each. 0:"
        " all, always.",
        minimum=0.0,
        maximum=10000.0,
    )
    overlap: bool = _parameter(
        True,
        "Also match cameras of one set with each other, where they see the same; needs extrinsics"
        " exact to about 0.1 degrees.",
    )
    overlap_share: float = _parameter(
        0.5,
        "Share of one camera's image that must lie within another's for that: 0.5 takes stereo"
        " pairs, 0.1 also neighbours of a surround rig, which measure a little more in twice the"
        " time.",
        minimum=0.01,
        maximum=1.0,
    )
    mounting_warning: float = _parameter(
        0.5,
        "Warn, once, when a camera is seen to look so many degrees otherwise than its calibration"
        " says; 0: do not look.",
        minimum=0.0,
        maximum=45.0,
    )
    odometry_topic: str = _parameter(
        "odom",
        "nav_msgs/Odometry that the node takes; a bag's only such topic may have another name."
        " Empty: none.",
    )
    fixed_frame: str = _parameter(
        "odom",
        "Where no odometry comes, TF from this frame to base_frame says how the vehicle moves;"
        " where TF does not have that either, the images alone do. Empty: TF is not asked.",
    )
    range_topic: str = _parameter(
        "",
        "sensor_msgs/PointCloud2 of a LiDAR or radar: each point is one more measurement of depth."
        " evaluate never scores against this topic. Empty: none.",
    )
    range_sigma: float = _parameter(
        0.05,
        "Standard deviation of the range of its points, m; a field 'sigma' (m) of the cloud goes"
        " before.",
        minimum=0.001,
        maximum=10.0,
    )


@dataclass(frozen=True)
class QosParameters:
    """Quality of service of the node's topics."""

    input: str = _parameter(
        "sensor_data",
        "Of images: sensor_data (best effort, pairs with every publisher) or"
        " reliable (asks for lost images again; needs reliable publishers).",
        choices=("sensor_data", "reliable"),
    )
    input_depth: int = _parameter(
        5, "Images of each camera that wait to be taken.", minimum=1, maximum=1000
    )
    output: str = _parameter(
        "reliable",
        "Of results: reliable (pairs with every subscriber that does not ask for latched ones;"
        " the map is latched) or sensor_data (best effort; subscribers must ask for no more).",
        choices=("reliable", "sensor_data"),
    )
    output_depth: int = _parameter(
        2, "Results of each topic that wait to be sent.", minimum=1, maximum=1000
    )


@dataclass(frozen=True)
class MonitorParameters:
    """What the node says of itself, and keeps for a report."""

    latency_budget: float = _parameter(
        0.2,
        "/diagnostics warns when the 95th percentile of the latency is above this, s.",
        minimum=0.0,
        maximum=60.0,
        live=True,
    )
    save_folder: str = _parameter(
        "",
        "Where the service save_frame_set writes its bags; empty: ~/.ros/depth_perception.",
        live=True,
    )


@dataclass(frozen=True)
class Parameters:
    """All parameters of ``surround_depth``, replay and evaluation."""

    base_frame: str = _parameter("base_link", "The vehicle frame: x forward, y left, z up.")
    cameras: list[str] = _parameter(
        [], "Names of the cameras in the order of the outputs; empty: found from the topics."
    )
    image_topics: list[str] = _parameter(
        [], "Image topic of each camera, raw or compressed; empty: found beside camera_info."
    )
    camera_info_topics: list[str] = _parameter(
        [], "CameraInfo topic of each camera; empty: every CameraInfo topic there is."
    )
    image_kinds: list[str] = _parameter(
        [],
        "Whether images are rectified (P of CameraInfo holds) or raw (K and D do): rectified, raw,"
        " or auto, which asks the topic's name (rect, rectified, undistorted, raw) and CameraInfo;"
        " one word for each of cameras, in their order, or one for all; empty: auto.",
    )
    autostart: bool = _parameter(
        True, "Configure and activate the node at once; false leaves that to lifecycle transitions."
    )
    estimator: str = _parameter(
        "fused",
        "How depth is computed: fused, by a network that is told what geometry measures on"
        " the road; embodied, by that geometry alone; relative, by any network of relative depth,"
        " scaled on the road.",
        choices=ESTIMATORS,
    )
    rectify: bool = _parameter(
        True, "Rectify raw images before use; false computes on the distorted image grid."
    )
    ego_masks: str = _parameter(
        "", "YAML file with each camera's own-body polygons or mask images (see config/)."
    )
    extrinsics: str = _parameter(
        "",
        "YAML file with mountings that take the place of TF's, as depth_perception calibrate writes"
        " it; cameras that are not in it are placed by TF.",
    )
    tf: TfParameters = field(default_factory=TfParameters)
    sync: SyncParameters = field(default_factory=SyncParameters)
    ground: GroundParameters = field(default_factory=GroundParameters)
    embodied: EmbodiedParameters = field(default_factory=EmbodiedParameters)
    fused: FusedParameters = field(default_factory=FusedParameters)
    relative: RelativeParameters = field(default_factory=RelativeParameters)
    segmentation: SegmentationParameters = field(default_factory=SegmentationParameters)
    output: OutputParameters = field(default_factory=OutputParameters)
    cloud: CloudParameters = field(default_factory=CloudParameters)
    occupancy: OccupancyParameters = field(default_factory=OccupancyParameters)
    motion: MotionParameters = field(default_factory=MotionParameters)
    qos: QosParameters = field(default_factory=QosParameters)
    monitor: MonitorParameters = field(default_factory=MonitorParameters)

    def __post_init__(self) -> None:
        """Refuse combinations that no single parameter's range can exclude."""
        for name in ("image_topics", "camera_info_topics"):
            topics = getattr(self, name)
            if topics and len(topics) != len(self.cameras):
                raise ConfigurationError(
                    f"{name} has {len(topics)} entries, cameras has {len(self.cameras)}",
                    expected="one topic for each camera, in the same order, or none",
                    fix=f"complete {name} or leave it empty",
                )
        kinds = self.image_kinds
        if not set(kinds) <= set(IMAGE_KINDS) or len(kinds) not in (0, 1, len(self.cameras)):
            raise ConfigurationError(
                f"image_kinds: {kinds}, for {len(self.cameras)} cameras that are named",
                expected="'rectified', 'raw' or 'auto': one for each of cameras, or one for all",
                fix="e.g. image_kinds: [rectified]",
            )
        if self.sync.anchor and self.cameras and self.sync.anchor not in self.cameras:
            raise ConfigurationError(
                f"sync.anchor: '{self.sync.anchor}'",
                expected=nearest(self.sync.anchor, self.cameras),
                fix="correct the name",
            )
        if len(set(self.cameras)) != len(self.cameras):
            raise ConfigurationError(
                f"cameras: {self.cameras} names one twice",
                expected="different names",
                fix="name each camera once",
            )
        if self.cloud.obstacle_max_height <= self.cloud.obstacle_min_height:
            raise ConfigurationError(
                f"cloud.obstacle_max_height is {self.cloud.obstacle_max_height}",
                expected=f"more than cloud.obstacle_min_height ({self.cloud.obstacle_min_height})",
                fix="raise it",
            )


@dataclass(frozen=True)
class ParameterSpec:
    """One flattened parameter: dotted name, default and what may be set."""

    name: str
    default: Any
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False
    """True when it takes effect while the node is active."""


def specifications() -> list[ParameterSpec]:
    """Return every parameter with its dotted name, in the order of declaration."""
    return _specifications(Parameters(), "")


def _specifications(group: Any, prefix: str) -> list[ParameterSpec]:
    specs: list[ParameterSpec] = []
    for item in dataclasses.fields(group):
        value = getattr(group, item.name)
        if dataclasses.is_dataclass(value):
            specs += _specifications(value, f"{prefix}{item.name}.")
        else:
            specs.append(ParameterSpec(prefix + item.name, value, **item.metadata))
    return specs


def unknown_parameter(name: str) -> ConfigurationError:
    """Build the error of a parameter that there is not, with the one that was probably meant."""
    near = near_name(name, [spec.name for spec in specifications()])
    return ConfigurationError(
        f"parameter '{name}' does not exist",
        expected=f"'{near}'" if near else "one of those in docs/parameters.md",
        fix="correct the name",
    )


def from_flat(values: dict[str, Any]) -> Parameters:
    """Build `Parameters` from dotted names; what is not named keeps its default.

    Raises:
        ConfigurationError: Unknown name, wrong type, or a value outside its range.
    """
    specs = {spec.name: spec for spec in specifications()}
    tree: dict[str, Any] = {}
    for name, value in values.items():
        if name not in specs:
            raise unknown_parameter(name)
        group, _, leaf = name.rpartition(".")
        target = tree.setdefault(group, {}) if group else tree
        target[leaf] = _checked(specs[name], value)
    groups = {
        item.name: dataclasses.replace(getattr(_DEFAULTS, item.name), **tree.pop(item.name, {}))
        for item in dataclasses.fields(Parameters)
        if dataclasses.is_dataclass(getattr(_DEFAULTS, item.name))
    }
    return dataclasses.replace(_DEFAULTS, **groups, **tree)


def _checked(spec: ParameterSpec, value: Any) -> Any:
    """Return ``value`` in the default's type, or raise."""
    wanted = type(spec.default)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = as_float(value)
    if wanted is list and isinstance(value, (list, tuple)):
        odd = [item for item in value if item is None or isinstance(item, (list, tuple, dict))]
        if odd:
            raise ConfigurationError(
                f"{spec.name}: {value!r} holds {odd[0]!r}",
                expected="a list of texts",
                fix=f"e.g. {spec.name}: [a, b]",
            )
        value = [str(item) for item in value]
    if type(value) is not wanted:
        example = spec.default
        if wanted is list:
            example = f"[{value if isinstance(value, (str, int, float)) else 'a, b'}]"
        raise ConfigurationError(
            f"{spec.name}: {value!r} is a {type(value).__name__}",
            expected=f"a {wanted.__name__}",
            fix=f"e.g. {spec.name}: {example}"
            if wanted is list
            else f"e.g. {spec.name}: {example!r}",
        )
    if spec.choices and value not in spec.choices:
        raise ConfigurationError(
            f"{spec.name}: '{value}'",
            expected=nearest(value, spec.choices),
            fix="correct the value",
        )
    low = -math.inf if spec.minimum is None else spec.minimum
    high = math.inf if spec.maximum is None else spec.maximum
    if wanted in (int, float) and not low <= value <= high:
        raise ConfigurationError(
            f"{spec.name}: {value}", expected=f"{low} to {high}", fix="correct the value"
        )
    return value


def load(path: str | Path | None, overrides: dict[str, Any] | None = None) -> Parameters:
    """Read a ROS parameter file (any node name with ``ros__parameters``), then apply overrides.

    Relative paths inside the file (models, masks, folders) are taken from the file's own folder.

    Raises:
        ConfigurationError: The file is absent, no YAML, or holds an impossible value.
    """
    values: dict[str, Any] = {}
    if path:
        values = _flat_file(Path(path))
    values.update(overrides or {})
    return from_flat(values)


PATH_PARAMETERS = (
    "ego_masks",
    "extrinsics",
    "segmentation.model",
    "segmentation.labels_folder",
    "segmentation.classes",
    "fused.model",
    "relative.model",
)


_OUR_BLOCKS = ("**", "*", "surround_depth")


def _flat_file(path: Path) -> dict[str, Any]:
    """Read the values that a file holds for this package's node, whatever its namespace.

    As in ROS, blocks of other nodes do not count, and of those that do later ones win.
    """
    where = f"parameter file '{path}'"
    example = "'/**:' with 'ros__parameters:' below it"
    content = read_yaml_mapping(path, "parameter file", example)
    sections = {
        str(name): block["ros__parameters"]
        for name, block in content.items()
        if isinstance(block, dict) and "ros__parameters" in block
    }
    if not sections:
        raise ConfigurationError(
            f"{where} has no ros__parameters", expected=example, fix="see config/nuscenes.yaml"
        )
    ours = {n: b for n, b in sections.items() if n.rsplit("/", 1)[-1] in _OUR_BLOCKS}
    if not ours:
        raise ConfigurationError(
            f"{where} is for " + ", ".join(sections),
            expected="a block for surround_depth or /**",
            fix="name the block '/**' or 'surround_depth'",
        )
    values: dict[str, Any] = {}
    for name, section in ours.items():
        if not (section is None or isinstance(section, dict)):
            raise ConfigurationError(
                f"{where}: ros__parameters of {name} is a {type(section).__name__}",
                expected="names with their values",
                fix="correct the file",
            )
        values.update(_flatten(section or {}, ""))
    values.pop("use_sim_time", None)
    for name in PATH_PARAMETERS:
        value = values.get(name)
        if isinstance(value, str) and value and (path.parent / value).exists():
            values[name] = str((path.parent / value).resolve())
    return values


def _flatten(tree: dict[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


_DEFAULTS = Parameters()


def reference() -> str:
    """Return every parameter as the Markdown page ``docs/parameters.md``."""
    lines = [
        "# Parameters",
        "",
        "Of `surround_depth`, and of `depth_perception replay`, `evaluate`, `inspect`, `ego-mask`,"
        " `calibrate` and `demo` (`--params FILE`, `--set NAME=VALUE`). Units are SI, angles"
        " radians. Made by `python -m depth_perception.parameters`.",
        "",
        "Those marked live may be changed while the node is active (`ros2 param set`); the others"
        " while it is unconfigured.",
        "",
        "| name | default | allowed | live | meaning |",
        "|---|---|---|---|---|",
    ]
    for spec in specifications():
        allowed = ", ".join(f"`{choice}`" for choice in spec.choices)
        if spec.minimum is not None or spec.maximum is not None:
            allowed = f"{spec.minimum:g} to {spec.maximum:g}"
        default = f"`{spec.default}`" if spec.default not in ("", []) else "empty"
        live = "live" if spec.live else ""
        lines.append(f"| `{spec.name}` | {default} | {allowed} | {live} | {spec.description} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(reference(), end="")

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


"""Adapting to a vehicle: the teacher, what is held out, what is refused, and a run as a whole."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch trains the networks")
pytest.importorskip("onnx", reason="writes the network")
pytest.importorskip("efficientnet_lite_pytorch", reason="the image encoder's wheel")

from test_surround_motion import CAMERA, MOUNTS, STEP, S, seen  # noqa: E402
from textured_street import pose  # noqa: E402

from depth_perception.adaptation import adapt as adapting  # noqa: E402
from depth_perception.adaptation import recording, windows  # noqa: E402
from depth_perception.adaptation.settings import Options  # noqa: E402
from depth_perception.cli import adapt as verb  # noqa: E402
from depth_perception.cli.main import main  # noqa: E402
from depth_perception.datasets import labels  # noqa: E402
from depth_perception.datasets.sample import DatasetError, TrueCamera, TrueFrameSet  # noqa: E402
from depth_perception.datasets.shards import ShardReader  # noqa: E402
from depth_perception.datasets.source import NOT_KNOWN  # noqa: E402
from depth_perception.errors import ConfigurationError  # noqa: E402
from depth_perception.geometry.ground_plane import GroundPlane  # noqa: E402
from depth_perception.parameters import from_flat, load  # noqa: E402

PARAMETERS = from_flat(
    {"fused.rate": 0.0, "motion.matching_rate": 0.0, "motion.enabled": True, "fused.width": 256}
)


class Street:
    """A drive through the street of `textured_street`, as a source; sparse truth as of a LiDAR."""

    def __init__(self, count: int = 12, step: float = STEP, light: float = 1.0) -> None:
        self.count, self.step, self.light = count, step, light

    def __len__(self) -> int:
        return self.count

    def cameras(self, index: int) -> list[str]:
        return ["front"]

    def neighbour(self, index: int, offset: int) -> int | None:
        return index + offset if 0 <= index + offset < self.count else None

    def read(self, index: int, choose=range) -> TrueFrameSet:
        x = index * self.step
        grey, depth = seen("front", x, 0.0)
        sparse = np.full_like(depth, np.nan)
        sparse[::4, ::4] = np.where(np.isfinite(depth), depth, np.nan)[::4, ::4]
        image = cv2.cvtColor((grey * self.light).astype(np.uint8), cv2.COLOR_GRAY2BGR)
        T, stamp = MOUNTS["front"], (index + 10) * S // 10
        label = np.full(depth.shape, NOT_KNOWN, np.uint8)
        camera = TrueCamera("front", CAMERA, T, T, image, sparse, label)
        facts = {
            "rig": "street",
            "stamp": stamp,
            "stamps": {"front": stamp},
            "T_odom_base": pose(x).tolist(),
        }
        return TrueFrameSet(f"{index:08d}", (camera,), GroundPlane(), facts)


@pytest.fixture(scope="module")
def taught() -> recording.Taught:
    return recording.teach(Street(), range(6), PARAMETERS)


def test_the_teacher_is_nearer_to_the_truth_than_one_image(taught):
    one = recording.SurroundPipeline(from_flat({"motion.enabled": False, "fused.width": 256}))
    errors, alone = [], []
    for number, _, result in recording.driven(Street(), range(2, 5), one):
        exact = seen("front", number * STEP, 0.0)[1]
        camera = taught.sets[number].cameras[0]
        size = camera.depth.shape[::-1]
        truth = cv2.resize(exact, size, interpolation=cv2.INTER_NEAREST)
        known = np.isfinite(camera.depth) & (truth < 40)
        assert known.mean() > 0.4
        errors.append(np.abs(camera.depth[known] / truth[known] - 1).mean())
        guess = result.cameras["front"].depth[known]
        alone.append(np.abs(np.minimum(guess, 200) / truth[known] - 1).mean())
    one.close()
    assert np.mean(errors) < 0.5 * np.mean(alone) and np.mean(errors) < 0.06


def test_both_ways_measure_alike_and_the_first_set_has_a_teacher_too(taught):
    first, reference = taught.sets[0].cameras[0], taught.references[2]["front"]
    assert np.isfinite(first.depth).mean() > 0.3, "time that ran backwards has come to it"
    assert not np.isfinite(first.layers["measured_inverse_depth"]).any(), "as the vehicle has it"
    truth = cv2.resize(
        seen("front", 2 * STEP, 0.0)[1], reference.shape[::-1], interpolation=cv2.INTER_NEAREST
    )
    known = np.isfinite(reference)
    assert known.mean() > 0.15, "walls and the end"
    assert np.median(np.abs(reference[known].astype(float) / truth[known] - 1)) < 0.02
    assert not (first.label == labels.OWN_BODY).any()
    assert windows.useless(taught) == ""
    # Odometry of the way back, whose time runs on, is not that of the way forth.
    np.testing.assert_allclose(taught.speeds[1:], 10 * STEP, rtol=0.04)


def test_without_time_that_runs_backwards_the_first_set_is_taught_by_its_image_alone(taught):
    forth = recording.teach(Street(), range(3), PARAMETERS, backwards=False)
    assert len(forth.sets) == 3
    assert not np.isfinite(forth.references[0]["front"]).any()
    known, both = (np.isfinite(t.sets[2].cameras[0].depth).mean() for t in (forth, taught))
    assert known > 0.3 and both > 0.3
    one, two = (t.sets[2].cameras[0].depth for t in (forth, taught))
    assert (one != two)[np.isfinite(one) & np.isfinite(two)].any(), "what is yet to come has no say"


def looked(depth, sigma, measured=np.nan, measured_sigma=np.nan) -> recording.Looked:
    def half(value):
        return np.full((1, 1), value, np.float16)

    return recording.Looked(
        half(depth), half(sigma), np.ones((1, 1), bool), half(measured), half(measured_sigma)
    )


@pytest.mark.parametrize(
    ("forth", "back", "expected"),
    [
        (looked(10, 0.1), looked(10.4, 0.1), 10.2),
        (looked(10, 0.1), looked(14, 0.1), np.nan),  # who is right nobody knows
        (looked(10, 0.1), looked(11, 0.1, 11, 0.01), 11.0),  # the measured one counts
        (looked(10, 0.5), looked(10, 0.5), np.nan),  # neither is sure
        (looked(np.inf, 0.1), looked(np.inf, 0.1), np.inf),
        (looked(np.inf, 0.1), looked(30, 0.1), np.nan),
        (looked(np.nan, 0.1), looked(30, 0.1), np.nan),
    ],
)
def test_what_both_ways_say_together(forth, back, expected):
    assert recording.both_ways(forth, back)[0, 0] == pytest.approx(expected, rel=0.01, nan_ok=True)


def test_measurements_are_alike_within_their_deviations():
    for other, alike in ((10.2, True), (11.0, False)):
        found = recording.measured_alike(looked(1, 1, 10, 0.02), looked(1, 1, other, 0.02))
        assert np.isfinite(found[0, 0]) == alike


def test_what_teaches_nothing_is_said():
    standing = recording.teach(Street(3, step=0.0), range(3), PARAMETERS)
    assert "standing" in windows.useless(standing) or "nothing is known" in windows.useless(
        standing
    )
    dark = recording.teach(Street(2, light=0.05), range(2), PARAMETERS)
    assert "dark" in windows.useless(dark)
    assert windows.useless(recording.Taught([], [], [])) == "no camera gave depth"


def test_the_end_of_a_drive_is_held_out_and_windows_are_spread():
    learn, held = windows.plan(Street(300), Options(hold_out=0.2, frame_sets=60), 1)
    assert sum(map(len, learn)) <= 66 and len(learn) == 3
    assert learn[0][0] == 0 and learn[-1][-1] == 239 and min(n for w in held for n in w) >= 240
    learn, held = windows.plan(Street(6), Options(), 1)
    assert learn == [[0, 1, 2, 3]] and held == [[4, 5]]
    with pytest.raises(ConfigurationError, match="--hold-out"):
        Options(hold_out=1.0)
    with pytest.raises(ConfigurationError, match="anchor"):
        Options(without=("ancor",))
    with pytest.raises(ConfigurationError, match=r"--with bin; expected .*bins"):
        Options(also=("bin",))


OPTIONS = Options(
    frame_sets=6,
    window=6,
    rehearsal=0,
    steps=3,
    width=128,
    also=("bins", "neighbours", "reflections", "gates"),
    foundation=("tiny-clip", "tiny-depth-anything"),
)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    """Work on a drive, up to where training begins."""
    work = tmp_path_factory.mktemp("recorded")

    class Enough(Exception):
        """Is recorded."""

    def enough(*_, **__):
        raise Enough

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adapting, "open_source", lambda text: Street(9))
        patch.setattr(adapting, "_judged", enough)
        with pytest.raises(Enough):
            adapting.adapt(["street"], work / "no.onnx", work / "work", PARAMETERS, OPTIONS)
    return work / "work"


@pytest.fixture
def given(recorded, tmp_path, monkeypatch):
    """Arguments of `adapt` that goes on with that work."""
    shutil.copytree(recorded, tmp_path / "work")
    monkeypatch.setattr(adapting, "open_source", lambda text: Street(9))
    return (["street"], tmp_path / "mine.onnx", tmp_path / "work", PARAMETERS, OPTIONS)


def test_training_that_is_interrupted_ends_the_command_and_gives_nothing_away(given, monkeypatch):
    """A training run takes Ctrl-C for itself: it finishes its step, saves and returns."""
    from depth_perception.training import fit

    monkeypatch.setattr(adapting, "_judged", lambda *_: {})
    asked = fit._Stop.asked
    monkeypatch.setattr(fit._Stop, "asked", lambda self: True)
    with pytest.raises(KeyboardInterrupt):
        adapting.adapt(*given)
    assert not given[1].exists() and not (given[2] / "adapted_int8.onnx").exists()
    monkeypatch.setattr(fit._Stop, "asked", asked)
    said: list[str] = []

    class Finished(Exception):
        """Of training."""

    def finished(*_):
        raise Finished

    monkeypatch.setattr(adapting, "written", finished)
    with pytest.raises(Finished):
        adapting.adapt(*given, say=said.append)
    assert any("step 3/3" in line for line in said)


FIGURES = {"parallax_abs_rel": 0.2, "road_a10": 0.98}


@pytest.mark.parametrize(
    ("alone", "moving", "said"),
    [
        ({"parallax_abs_rel": 0.15}, {}, ""),
        ({}, {}, "depth from one image"),
        ({"parallax_abs_rel": 0.15}, {"parallax_abs_rel": 0.21}, "with motion it is off"),
        ({"parallax_abs_rel": 0.15}, {"road_a10": 0.96}, "with motion: 96.0 % of the road"),
        ({"parallax_abs_rel": 0.15, "lidar_abs_rel": 0.3}, {"lidar_abs_rel": 0.1}, "LiDAR"),
        (None, {}, "no figure of parallax_abs_rel, road_a10"),
    ],
)
def test_what_is_no_better_is_refused(alone, moving, said):
    if alone is None:  # e.g. no camera gave depth
        before = {"one image": FIGURES, "with motion": FIGURES}
        assert said in adapting.worse(before, {"one image": {}, "with motion": FIGURES})[0]
        return
    lidar = {"lidar_abs_rel": 0.2} if "lidar_abs_rel" in alone else {}
    before = {"one image": {**FIGURES, **lidar}, "with motion": {**FIGURES, **lidar}}
    after = {"one image": {**FIGURES, **alone}, "with motion": {**FIGURES, **lidar, **moving}}
    why = adapting.worse(before, after)
    assert (said in why[0]) if said else not why


def test_a_run_goes_on_where_it_was_and_gives_away_what_is_better(given, monkeypatch):
    monkeypatch.setattr(adapting, "BETTER", 0.5)
    report = adapting.adapt(*given)
    assert report.learnt["steps"] == 3 and report.learnt["share"] == 0.5
    assert report.learnt["parts"] == ["bins", "photometric", "reflections"], "gates: no step of 3"
    assert "; with bins, photometric, reflections" in "".join(verb.table(report))
    taught, filled = (ShardReader(given[2] / name).read(2) for name in ("learn", "filled"))
    known, more = (np.isfinite(item.cameras[0].depth) for item in (taught, filled))
    assert (more >= known).all() and more.mean() > known.mean() + 0.02, "a depth model's"
    figures = {"parallax_abs_rel", "lidar_abs_rel", "photometric", "confidence_error"}
    assert set(report.before["one image"]) >= figures
    # Two steps make nothing half as far off.
    assert any("one image" in why for why in report.refused) and not given[1].exists()
    assert json.loads((given[2] / "report.json").read_text())["refused"] == report.refused
    assert any("mean" in line or "AbsRel by LiDAR" in line for line in verb.table(report))
    assert "100 to 300" in verb.advice(report)

    said: list[str] = []
    monkeypatch.setattr(adapting, "worse", lambda before, after: [])
    # What was written and judged before is so again.
    monkeypatch.setattr(adapting, "written", lambda work, *_: work / "adapted_int8.onnx")
    monkeypatch.setattr(adapting, "_judged", lambda *_: report.before)
    again = adapting.adapt(*given, say=said.append)
    assert not [line for line in said if "forth and back" in line], "what was recorded stays"
    assert not again.refused and given[1].exists()
    model = from_flat({"fused.model": str(given[1]), "motion.enabled": False})
    pipeline = recording.SurroundPipeline(model)
    assert "mine.onnx" in pipeline.estimator.model and "int8" in pipeline.estimator.model
    (_, _, result), *_ = recording.driven(Street(), [3], pipeline)
    assert np.isfinite(result.cameras["front"].depth).mean() > 0.3
    pipeline.close()
    assert len(ShardReader(given[2] / "learn")) == 6
    with pytest.raises(ConfigurationError, match="other options"):
        adapting.adapt(*given[:4], replace(OPTIONS, frame_sets=9))


def test_drives_that_teach_nothing_end_it_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(adapting, "open_source", lambda text: Street(5, light=0.05))
    monkeypatch.setattr(adapting, "learn", lambda *_: pytest.fail("training began"))
    with pytest.raises(DatasetError, match="dark: mean grey"):
        adapting.adapt(
            ["bag:x"], tmp_path / "a.onnx", tmp_path / "w", PARAMETERS, Options(window=4)
        )


def test_the_command_says_what_is_wrong_before_it_begins(tmp_path, capsys):
    taken = tmp_path / "taken.onnx"
    taken.touch()
    shutil.copy(taken, tmp_path / "bag.mcap")
    for words, said in (
        (["nowhere.mcap", "-o", str(tmp_path / "a.onnx")], "does not exist"),
        ([str(tmp_path / "bag.mcap"), "-o", str(taken)], "--overwrite"),
        ([str(tmp_path / "bag.mcap"), "-o", str(tmp_path / "a.pt")], "ends in .onnx"),
    ):
        assert main(["adapt", *words]) == 1
        assert said in capsys.readouterr().err
    assert Path(taken).stat().st_size == 0


def test_parameters_reach_the_drive_and_the_pipeline_stands_on_its_ground(tmp_path, monkeypatch):
    seen = {}

    def adapt(sources, output, work, parameters, options, **_):
        seen.update(sources=sources, given=parameters)
        raise DatasetError("enough")

    bag = tmp_path / "drive.mcap"
    bag.touch()
    monkeypatch.setattr(adapting, "adapt", adapt)
    words = ["adapt", str(bag), "-o", str(tmp_path / "a.onnx"), "--rehearsal", "0"]
    words += ["--set", "ground.height=0.3", "--set", "base_frame=rear_axle"]
    assert main(words) == 1
    _, _, name = seen["sources"][0].partition("?params=")
    assert seen["sources"][0].startswith(f"bag:{bag}?")
    assert load(name).ground.height == 0.3 and load(name).base_frame == "rear_axle"
    assert main([*words, "--set", "base_frame=front"]) == 1, "that is other work"

    def record(source, place, wanted, folder, parameters, *_):
        assert parameters.ground.height == 0.0, "a source gives drives with the ground at z = 0"
        raise DatasetError("enough")

    monkeypatch.undo()
    monkeypatch.setattr(adapting, "open_source", lambda text: Street())
    monkeypatch.setattr(adapting, "record", record)
    with pytest.raises(DatasetError, match="enough"):
        adapting.adapt(["x"], tmp_path / "b.onnx", tmp_path / "w", seen["given"], Options())

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

"""Scores of measured depth, worked out by hand; static and moving things apart, by exact truth."""

import dataclasses
import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
from test_evaluate import Pipeline
from test_evaluate_exact import DEPTH, LABELS, TYPES, road_depth, road_labels
from test_report import Page, evaluation
from tiny_drive import CAMERA, PERIOD, START

from depth_perception import messages
from depth_perception.cli.evaluate import print_tables
from depth_perception.datasets.exact_truth import OBJECTS_TOPIC, moving_topics, speeds_of
from depth_perception.datasets.lidar_truth import TruthProtocol
from depth_perception.evaluation.exact import ExactScorer
from depth_perception.evaluation.exact_window import ExactWindow
from depth_perception.evaluation.measured import MeasuredTally, table_of
from depth_perception.evaluation.measured_figures import measured_figures
from depth_perception.evaluation.measured_pictures import (
    KIND_COLOURS,
    KIND_NAMES,
    colour_kinds,
    colour_measured,
)
from depth_perception.evaluation.report import render
from depth_perception.frames.measured_kind import MEASURED_KINDS, Kind
from depth_perception.frames.surround_result import CameraResult
from depth_perception.geometry.depth_colours import colour_depth
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.rig import RigCamera

INSTANCE = "/truth/front/instance"
NAN = np.nan


def tally(*images):
    made = MeasuredTally()
    for truth, measured, sigma, kind in images:
        made.add("front", np.array(truth), np.array(measured), np.array(sigma), np.array(kind))
    return made.scores()


def test_figures_by_hand():
    # Errors 0.1, 0.5, 0.02 and 0; in deviations 2.5, 2, 0.4 and 0.
    scores = tally(
        (
            [10.0, 20.0, 50.0, 4.0, 30.0],
            [11.0, 30.0, 51.0, 4.0, NAN],
            [0.04, 0.25, 0.05, 0.1, NAN],
            [Kind.PLANE, Kind.PARALLAX, Kind.OVERLAP, Kind.PLANE, Kind.NOTHING],
        )
    )
    figures = scores.all.median
    assert figures.cover == pytest.approx(0.8) and figures.abs_rel == pytest.approx(0.155)
    assert figures.median_error == pytest.approx(0.06) and figures.wrong == 0.25
    assert figures.within_one == 0.5 and figures.within_two == 0.75
    assert scores.all.count == 4 and scores.all.truth_count == 5
    assert scores.all.kinds == {"plane": 0.4, "parallax": 0.2, "overlap": 0.2}
    assert scores.by_kind["parallax"].median.wrong == 1.0
    assert scores.by_kind["plane"].median.cover == pytest.approx(0.4)
    assert "range" not in scores.by_kind
    assert [row.truth_count for row in scores.by_range.values()] == [1, 1, 2, 1]
    assert scores.by_range["20-40 m"].median.cover == 0.5


def test_an_image_without_any_counts_in_cover_and_in_no_error():
    full = ([10.0, 10.0], [10.0, 12.0], [0.1, 0.1], [2, 2])
    scores = tally(full, full, ([10.0, 10.0], [NAN, NAN], [NAN, NAN], [0, 0]))
    assert scores.all.images == 3 and scores.all.measured_images == 2
    assert scores.all.mean.cover == pytest.approx(2 / 3) and scores.all.median.cover == 1.0
    assert scores.all.mean.abs_rel == pytest.approx(0.1)
    made = MeasuredTally()
    made.add("front", np.array([10.0]), None, None, None)
    assert made.scores().all.median.cover == 0.0
    assert np.isnan(made.scores().all.median.abs_rel)
    assert MeasuredTally().scores() is None


def test_median_mean_and_points_alike_differ_where_they_should():
    small = ([10.0], [20.0], [0.1], [2])
    large = ([10.0] * 9, [10.5] * 9, [0.1] * 9, [2] * 9)
    row = tally(small, large, large).all
    assert row.median.abs_rel == pytest.approx(0.05)
    assert row.mean.abs_rel == pytest.approx(1.1 / 3)
    assert row.pooled.abs_rel == pytest.approx((1 + 18 * 0.05) / 19)
    assert row.pooled.median_error == pytest.approx(0.05, abs=1e-3)
    assert row.pooled.wrong == pytest.approx(1 / 19)


def test_honest_deviations_hold_what_they_promise():
    rng = np.random.default_rng(3)
    truth = rng.uniform(2, 70, 20000)
    sigma = rng.uniform(0.01, 0.08, truth.size)
    measured = truth * (1 + rng.normal(0, sigma))
    kind = np.full(truth.size, Kind.RANGE)
    figures = tally((truth, measured, sigma, kind)).all.pooled
    assert figures.within_one == pytest.approx(0.683, abs=0.01)
    assert figures.within_two == pytest.approx(0.954, abs=0.01)
    sure = tally((truth, measured, sigma / 3, kind)).all.pooled
    assert sure.within_one < 0.3


def test_the_table_has_a_part_for_moving_things():
    one = tally(([10.0], [20.0], [0.1], [2]))
    parts = table_of({"all": one, "moving": one})
    assert [name for name, *_ in parts[-1]] == ["moving, up to 60 m", "moving, all alike"]
    assert parts[-1][0][2] == 1 and len(parts) == 4


def markers(*speeds):
    items = [SimpleNamespace(id=k, text=f"car 12.3 m {v:.1f} m/s") for k, v in speeds]
    return SimpleNamespace(markers=items)


def test_speeds_are_read_from_the_markers():
    message = markers((3, 8.0), (4, 0.0))
    message.markers.append(SimpleNamespace(id=5, text="a tree"))
    assert speeds_of(message) == {3: 8.0, 4: 0.0}
    topics = {INSTANCE: "", OBJECTS_TOPIC: ""}
    assert moving_topics(topics, ["front", "left"]) == [INSTANCE, OBJECTS_TOPIC]
    assert moving_topics({INSTANCE: ""}, ["front"]) == []


class OnTheGrid(NamedTuple):
    """What was measured, on the result's own grid."""

    depth: np.ndarray
    sigma: np.ndarray
    kind: np.ndarray

    def on_grid(self, shape):
        assert shape == self.depth.shape
        return self.depth, self.sigma

    def kind_on_grid(self, shape):
        return self.kind


def exact_scores(ids, with_objects=True, change=lambda measured: None):
    """Score one image: right on the left half, twice as far on the right half, where ids are."""
    stamp = START + PERIOD
    instances = np.zeros((CAMERA.height, CAMERA.width), np.uint16)
    instances[120:, 160:] = ids[0]
    instances[120:, 240:] = ids[1]
    image = [
        (DEPTH, stamp, messages.depth_message(TYPES, stamp, "front", road_depth())),
        (LABELS, stamp, messages.image_message(TYPES, stamp, "front", road_labels(), "mono8")),
        (INSTANCE, stamp, messages.image_message(TYPES, stamp, "front", instances, "16UC1")),
    ]
    topics = dict.fromkeys((DEPTH, LABELS, INSTANCE), "sensor_msgs/msg/Image")
    if with_objects:  # behind the images of its instant, as in a bag sorted by topic
        image.append((OBJECTS_TOPIC, stamp, markers((7, 5.0), (8, 0.0))))
        topics[OBJECTS_TOPIC] = "visualization_msgs/msg/MarkerArray"
    scorer = ExactScorer(ExactWindow(image, topics), TruthProtocol(), measured=True)
    shape = (CAMERA.height, CAMERA.width)
    depth = road_depth()
    measured = np.where(np.isfinite(depth), depth, np.nan)
    measured[120:, 160:] *= 2
    change(measured)
    flat = np.full(shape, 0.02, np.float32)
    result = CameraResult(
        stamp,
        "front",
        CAMERA,
        np.eye(4),
        np.zeros((*shape, 3), np.uint8),
        depth,
        flat,
        np.ones(shape, np.uint8),
        depth,
        GroundPlane(),
        np.ones(shape, np.uint8),
        OnTheGrid(measured, flat, np.full(shape, Kind.PARALLAX, np.uint8)),
    )
    assert scorer.add(result, RigCamera("front", CAMERA, np.eye(4), "front", CAMERA), None)
    return scorer.finish(["front"]), list(scorer.notes())


def test_static_and_moving_pixels_are_scored_apart():
    exact, notes = exact_scores((7, 8))
    assert not notes
    moving, static = exact.measured["moving"].all, exact.measured["static"].all
    assert moving.truth_count == 80 * 80 and moving.pooled.wrong == 1.0
    # Of the sky, rows 0 to 99, nothing is measured; it is in none of the others.
    sky = exact.measured["sky"].all
    assert sky.truth_count == 100 * CAMERA.width and sky.count == 0
    # What stands there, instance 8, is wrong, too; it is static.
    assert static.truth_count + moving.truth_count == exact.measured["all"].all.truth_count
    assert static.pooled.wrong == pytest.approx(80 * 80 / static.count)


def test_without_speeds_nothing_is_told_apart():
    exact, _ = exact_scores((7, 8), with_objects=False)
    assert set(exact.measured) == {"all", "sky"}
    exact, _ = exact_scores((8, 8))
    assert set(exact.measured) == {"all", "static", "sky"}


def test_what_is_measured_in_the_sky_is_wrong():
    def clouds(measured):
        measured[:10] = 8.0

    sky = exact_scores((7, 8), change=clouds)[0].measured["sky"].all.pooled
    assert sky.cover == pytest.approx(0.1) and sky.wrong == 1.0 and sky.within_two == 0.0


def test_pictures_show_what_is_measured_and_how():
    shape = (CAMERA.height, CAMERA.width)
    kind = np.zeros(shape, np.uint8)
    kind[100:150], kind[150:] = Kind.PARALLAX, Kind.PLANE
    measured = np.where(kind > 0, 12.0, np.nan).astype(np.float32)
    depth = np.full(shape, 12.0, np.float32)
    image = np.full((*shape, 3), 100, np.uint8)
    level = np.ones(shape, np.uint8)
    item = OnTheGrid(measured, depth, kind)
    fields = (image, depth, depth, level, depth, GroundPlane(), level, item)
    camera = CameraResult(1, "front", CAMERA, np.eye(4), *fields)
    painted, tinted = colour_measured(camera), colour_kinds(camera)
    expected = colour_depth(depth)
    assert (painted[kind > 0] == expected[kind > 0]).all() and (painted[:100] == 40).all()
    assert (tinted[:100] == 40).all()
    assert len(np.unique(tinted.reshape(-1, 3), axis=0)) == 3
    assert tinted[120, 0, 2] > tinted[120, 0, 0], "parallax is orange"
    assert tinted[180, 0, 0] > tinted[180, 0, 2], "the plane is blue"
    assert set(KIND_COLOURS) == set(KIND_NAMES) == set(MEASURED_KINDS)


def test_charts_say_where_it_is_worst_and_whether_deviations_are_honest():
    near, far = [5.0] * 8, [50.0] * 8
    scores = tally((near + far, [5.1] * 8 + [60.0] * 8, [0.01] * 16, [1] * 8 + [2] * 8))
    figures = {figure.title: figure for figure in measured_figures({"all": scores}, "points")}
    assert [title.partition(": ")[2] for title in figures] == [
        "how much",
        "AbsRel",
        "how much is wrong",
        "does it know how sure it is",
    ]
    cover, error, wrong, sure = figures.values()
    assert "100.0 %" in cover.reading and "Worst at 40-80 m (0.200)" in error.reading
    assert "Of all 0.0 %" in wrong.reading and "0 % within one" in sure.reading
    assert "too small" in sure.reading
    assert measured_figures({}, "points") == []
    nothing = tally((near, [NAN] * 8, [NAN] * 8, [0] * 8))
    assert [f.title for f in measured_figures({"all": nothing}, "points")] == [cover.title]


def test_the_script_of_the_five_rigs_reads_the_numbers_that_evaluate_writes():
    path = Path(__file__).resolve().parents[1] / "scripts" / "motion_figures.py"
    spec = importlib.util.spec_from_file_location("motion_figures", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    exact, _ = exact_scores((7, 8))
    numbers = json.loads(json.dumps({"exact": dataclasses.asdict(exact)}))
    line = script.row("tiny", numbers)
    assert line.count("|") == script.HEAD.count("|")
    # Static road up to 60 m: 95 rows of 320, less what moves; 80 x 80 of it are wrong.
    wrong = 80 * 80 / (95 * 320 - 80 * 80)
    assert line.split(" | ")[1:4] == ["100.0 %", f"{wrong:.3f}", f"{100 * wrong:.1f} %"]
    assert line.endswith("| 100.0 % | 100.0 % | 0.0 % |")
    assert len(script.DRIVES) == 5


def test_report_and_terminal_show_measured_depth_only_where_there_is_any(capsys):
    e, _ = evaluation(Pipeline(), {"front": 0.0})
    plain = render(e, [])
    assert "<h3>Measured by motion" not in plain and "of points are" not in plain
    assert not any("motion measured nothing" in note for note in e.notes)  # of one frame set
    several, _ = evaluation(Pipeline(), {"front": 0.0}, sets=2)
    assert any("motion measured nothing" in note for note in several.notes)
    scores = tally(([10.0, 10.0, 70.0], [10.5, NAN, 100.0], [0.1, NAN, 0.1], [1, 0, 2]))
    exact, _ = exact_scores((7, 8))
    page = render(dataclasses.replace(e, measured=scores, exact=exact), [])
    words = " ".join(Page(page).words)
    assert words.count("median over images") == 2 and words.count(", all alike") == 3
    for title in ("how much", "AbsRel", "how much is wrong", "does it know how sure it is"):
        assert title in words
    print_tables(dataclasses.replace(e, measured=scores))
    shown = capsys.readouterr().out
    row = next(line for line in shown.splitlines() if line.strip().startswith("40-80 m"))
    assert row.split()[2:6] == ["100.0", "0.429", "42.9", "100.0"]
    assert "at LiDAR points: 1 of 1 images" in shown
    assert e.to_dict()["measured"] is None
    numbers = dataclasses.replace(e, measured=scores).to_dict()["measured"]
    assert numbers["by_kind"]["plane"]["median"]["within_one"] == 1.0

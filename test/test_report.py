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

"""The report: charts of numbers worked out by hand, words explained, no hole whatever comes in."""

import base64
import dataclasses
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from test_charts import bars_of, parsed, texts_of
from test_evaluate import NetworkPipeline, Pipeline, drive, rig_of, road
from test_evaluate_exact import DEPTH, LABELS, LIDAR, write_drive

from depth_perception.datasets.bag import BagReader
from depth_perception.evaluation.boundary import Boundary
from depth_perception.evaluation.cloud_picture import cloud_from_above
from depth_perception.evaluation.distance_figures import road_figure
from depth_perception.evaluation.drawing import BACKGROUND
from depth_perception.evaluation.error_figures import (
    camera_figure,
    confidence_figure,
    cumulative_figure,
    frame_figure,
)
from depth_perception.evaluation.evaluate import evaluate
from depth_perception.evaluation.exact import CameraExact, ExactScores
from depth_perception.evaluation.figures import (
    edges_figure,
    exact_figures,
    latency_figure,
    lidar_figures,
    overlap_figure,
)
from depth_perception.evaluation.frame_scores import FrameScores
from depth_perception.evaluation.glossary import GLOSSARY
from depth_perception.evaluation.metrics import Accuracy, DepthMetrics
from depth_perception.evaluation.profile import ErrorCounter
from depth_perception.evaluation.report import PictureCollector, explained, render
from depth_perception.evaluation.scores import Overlap, StageLatency
from depth_perception.frames.frame_set import FrameSet
from depth_perception.geometry.cloud import POINT_DTYPE
from depth_perception.parameters import Parameters

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Reads a page: every element closed, ids, links, alternative texts, and the visible words."""

    def __init__(self, page):
        super().__init__()
        self.open, self.ids, self.links, self.images, self.words = [], [], [], [], []
        self.order = []
        self.feed(page)
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in given:
            self.ids.append(given["id"])
        self.links += [given[name] for name in ("href", "aria-describedby") if name in given]
        if tag == "img":
            self.images.append(given)
        if tag in ("img", "table", "svg"):
            self.order.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)


def check(page):
    """Whatever went in: a whole page without a hole, that loads nothing."""
    read = Page(page)
    assert len(read.ids) == len(set(read.ids))
    assert {link.removeprefix("#") for link in read.links} <= set(read.ids)
    assert all(image["alt"] for image in read.images)
    assert not re.search(r"\b(nan|inf|None)\b", " ".join(read.words), re.IGNORECASE)
    assert "<script" not in page and "http://" not in page and "https://" not in page
    charts = re.findall(r"<svg.*?</svg>", page)
    for chart in charts:
        drawing = parsed(chart)
        assert drawing.get("aria-label") and len(list(drawing)) > 3
        assert not re.search(r'="[^"]*(nan|inf)[^"]*"', re.sub(r'aria-label="[^"]*"', "", chart))
    assert page.count("<figcaption></figcaption>") == 0
    return read


class Doubting(NetworkPipeline):
    """A network whose confidence in each pixel is as given."""

    def __init__(self, scale, confidence):
        super().__init__(scale)
        self.confidence = confidence

    def process(self, frame_set, rig):
        result = super().process(frame_set, rig)
        for camera in result.cameras.values():
            camera.confidence[:] = self.confidence
        return result


def evaluation(pipeline, yaws, sets=1):
    reader, scans = drive(road(0.01), rig_of(**yaws))
    one = next(reader.frame_sets())
    reader.frame_sets = lambda: (
        FrameSet(one.stamp + k * 10_000_000, one.frames) for k in range(sets)
    )
    collector = PictureCollector()
    return evaluate(reader, pipeline, scans=scans, observer=collector), collector.panels


@pytest.mark.parametrize("cameras", [1, 2, 6, 12])
@pytest.mark.parametrize("pipeline", [Pipeline(), NetworkPipeline(1.08)], ids=["embodied", "fused"])
def test_the_page_is_whole_with_any_number_of_cameras(cameras, pipeline):
    yaws = {f"camera_surround_{k:02d}": 2 * math.pi * k / cameras for k in range(cameras)}
    e, panels = evaluation(pipeline, yaws, sets=2)
    read = check(render(e, panels))
    # Pictures stand before the first chart, charts before the first table.
    assert read.order.index("img") < read.order.index("svg") < read.order.index("table")


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("missing", [(), (LIDAR,), (LABELS,), (DEPTH,)], ids=str)
@pytest.mark.parametrize("pipeline", [Pipeline(), NetworkPipeline(1.08)], ids=["embodied", "fused"])
def test_the_page_is_whole_with_and_without_exact_truth(tmp_path, pipeline, missing, frames):
    collector = PictureCollector()
    bag = write_drive(tmp_path / "drive", frames=frames, leave_out=missing)
    with BagReader(bag, Parameters()) as reader:
        e = evaluate(reader, pipeline, observer=collector)
    check(render(e, collector.panels))
    titles = [figure.title for figure in exact_figures(e.exact, e.estimator)]
    assert ("Cumulative error" in titles) == (DEPTH not in missing)
    assert ("On the road: A10 by distance" in titles) == (not {DEPTH, LABELS} & set(missing))
    assert ("Error by frame set: AbsRel" in titles) == (frames > 1 and DEPTH not in missing)
    beside = e.exact is not None and e.estimator != "embodied"
    assert ("Error by camera: AbsRel" in titles) == beside
    if e.exact is not None:
        # The drive is the plane itself: each pixel counts once, by frame and by error.
        assert [row.images for row in e.exact.by_frame] == [1] * frames
        profile = e.exact.profiles["depth image"]
        assert profile.truth_count == e.exact.all.metric.truth_count == frames * 96 * 320
        scale = pipeline.scale - 1
        assert [row.share for row in profile.below if abs(row.limit - scale) > 1e-3] == [
            float(row.limit > scale) for row in profile.below if abs(row.limit - scale) > 1e-3
        ]


def test_a_camera_without_depth_and_one_frame_leave_no_hole():
    class Blind(NetworkPipeline):
        def process(self, frame_set, rig):
            result = super().process(frame_set, rig)
            result.cameras["left"].depth[:] = np.nan
            result.cameras["left"].embodied[:] = np.nan
            return result

    e, panels = evaluation(Blind(1.05), {"front": 0.0, "left": 0.8})
    assert math.isnan(e.cameras["left"].metric.abs_rel)
    page = render(e, panels)
    check(page)
    titles = [figure.title for figure in lidar_figures(e)]
    assert "Error by camera: AbsRel" in titles and "Error by frame set: AbsRel" not in titles
    [cameras] = [f for f in lidar_figures(e) if f.title.startswith("Error by camera")]
    assert texts_of(cameras.svg).count("no depth") == 2 and len(bars_of(cameras.svg)) == 2


def test_nothing_covered_at_all_leaves_no_hole():
    e, panels = evaluation(NetworkPipeline(math.nan), {"front": 0.0})
    assert e.points > 0 and e.profiles["depth image"].count == 0
    check(render(e, panels))


def test_confidence_that_is_not_known_makes_no_chart():
    e, panels = evaluation(Doubting(1.05, math.nan), {"front": 0.0})
    assert e.profiles["depth image"].confidence == []
    assert not any("confidence" in figure.title for figure in lidar_figures(e))
    check(render(e, panels))


def test_confidence_is_held_against_what_came_true():
    e, _ = evaluation(Doubting(1.3, 0.72), {"front": 0.0})
    [row] = e.profiles["depth image"].confidence
    assert (row.low, row.high) == (0.7, 0.8)
    assert row.confidence == pytest.approx(0.72, abs=1e-6)
    # The road falls by 1 % ahead; on that slope, depth 30 % too large is never right to 10 %.
    assert row.a10 == pytest.approx(e.over_cameras.metric.a10) and row.count == e.points
    assert e.profiles["depth image"].confidence_gap == pytest.approx(abs(0.72 - row.a10), abs=1e-6)


def test_names_with_markup_stay_words():
    name = "<b>left</b> & 'right'"
    e, panels = evaluation(NetworkPipeline(1.08), {name: 0.0, "other": 1.0})
    page = render(e, panels)
    check(page)
    assert name in "".join(Page(page).words) and "<b>left" not in page


def of(abs_rel, a10=0.5):
    return DepthMetrics(100, 100, 1.0, abs_rel, *[0.1] * 8, 0.4, a10)


def test_sentences_name_the_worst():
    cameras = {"front": of(0.1), "left": of(0.4), "rear": of(0.2)}
    figure = camera_figure(cameras, {"front": of(0.2), "left": of(0.3)}, "network")
    assert "Worst is left (0.400), best front (0.100)" in figure.reading
    assert "better on 1 of 2" in figure.reading

    frames = [
        FrameScores(number, number * 500_000_000, 2, of(error), None)
        for number, error in ((1, 0.1), (2, 0.3), (4, 0.2))
    ]
    assert (
        "Worst is frame set 2 (0.300), 0.5 s after the first" in frame_figure(frames, "n").reading
    )
    assert frame_figure(frames[:1], "network") is None

    rows = [
        Accuracy(a, b, 50, 50, 1, 0.4, c, 0.1, (-0.1, 0, 0.1))
        for a, b, c in ((0, 10, 0.99), (10, 20, 0.9), (0, 20, 0.95))
    ]
    assert "Worst at 10 to 20 m (90.0 %)" in road_figure({"depth image": rows}, "network").reading

    pairs = [Overlap(("a", "b"), 9, 0.1, 0.1, 0.5), Overlap(("b", "c"), 9, 0.3, 0.3, 0.5)]
    figure = overlap_figure(Overlap(("all", "pairs"), 18, 0.2, 0.2, 0.5), pairs)
    assert "Worst: b – c (30.0 %)" in figure.reading
    none = Overlap(("all", "pairs"), 0, math.nan, math.nan, math.nan)
    assert overlap_figure(none, [none]) is None

    stages = [StageLatency("depth", 0.09, 0.12), StageLatency("total", 0.1, 0.13)]
    figure = latency_figure(stages, 10)
    assert "most are spent on depth" in figure.reading
    assert [text for _, text in bars_of(figure.svg)] == ["90.0 (120)", "100 (130)"]


def test_edges_without_a_predicted_one_say_so():
    figure = edges_figure({"depth image": Boundary(5, 0, math.nan, 0.0, 0.0)}, "network")
    assert "none found" in texts_of(figure.svg)


def test_the_share_of_points_below_an_error_counts_missing_depth_as_wrong():
    counter = ErrorCounter([0.0, 80.0])
    counter.add(np.array([10.0, np.nan]), np.array([10.0, 10.0]))
    figure = cumulative_figure({"depth image": counter.profile()}, "network", "points")
    assert "50 % of all points are right to 10 %" in figure.reading


def test_what_exact_truth_lacks_is_left_out():
    assert exact_figures(None, "fused") == [] and confidence_figure(None, "pixels") is None
    one = CameraExact(1, of(0.1), [], None)
    titles = [f.title for f in exact_figures(ExactScores({"front": one}, one), "embodied")]
    assert titles == []


def test_words_are_explained_where_they_stand_and_by_keyboard():
    made = str(explained("Error & RMSE log of CAM_A5, A5"))
    assert "Error &amp; " in made and made.count("<a ") == 2 and "CAM_A5," in made
    # A link takes the focus by itself, and its text is there without a pointer.
    assert 'href="#word-rmse-log"' in made and 'href="#word-within"' in made
    assert len({word.key for word in GLOSSARY}) == len(GLOSSARY)
    e, _ = evaluation(NetworkPipeline(1.08), {"front": 0.0})
    page = render(e, [])
    assert ".term:focus .tip" in page and ".term:hover .tip" in page
    for word in GLOSSARY:
        assert f'id="word-{word.key}"' in page


def test_numbers_of_the_charts_are_in_json():
    e, _ = evaluation(NetworkPipeline(1.08), {"front": 0.0, "left": 0.8}, sets=3)
    numbers = e.to_dict()
    assert [row["number"] for row in numbers["by_frame"]] == [1, 2, 3]
    first = numbers["by_frame"][0]["metric"]["abs_rel"]
    assert first == pytest.approx(e.over_images.metric.abs_rel, rel=1e-9)
    mean = np.mean([camera["abs_rel"] for camera in numbers["embodied_cameras"].values()])
    assert mean == pytest.approx(numbers["embodied"]["abs_rel"])
    profile = numbers["profiles"]["depth image"]
    assert profile["count"] == e.points and profile["below"][9]["limit"] == 0.1
    assert dataclasses.asdict(e.profiles["embodied depth"])["confidence"] == []


def test_the_cloud_from_above_shows_ahead_and_a_scale():
    empty = cloud_from_above(np.zeros(0, POINT_DTYPE), scale=10)
    ink = np.abs(empty.astype(int) - BACKGROUND).sum(axis=2) > 500
    # The bar is 10 m long, thus 100 px of a row near the lower right corner.
    row = ink[-24, -150:]
    assert 98 <= np.count_nonzero(row) <= 106
    # The arrow's head is above its shaft, and wider.
    column = ink[40:104, -60:-20]
    assert column[12].sum() > column[-5].sum() > 0


def test_pictures_are_in_the_page_with_words_for_who_cannot_see_them():
    e, panels = evaluation(NetworkPipeline(1.08), {"front": 0.0, "left": 0.8}, sets=2)
    read = check(render(e, panels))
    assert len(read.images) == 12 and all("front, left" in i["alt"] for i in read.images[:5])
    data = read.images[0]["src"].removeprefix("data:image/jpeg;base64,")
    assert base64.b64decode(data) == panels[0].pictures[0].jpeg

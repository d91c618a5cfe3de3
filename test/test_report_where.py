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

"""Where and when depth is wrong: planted errors show in the right cell, with the right sign, and
in the right order; a former run is compared frame set by frame set; the page stays small."""

import dataclasses
import json
import math

import numpy as np
import pytest
from test_evaluate import NetworkPipeline, drive, rig_of, road
from test_evaluate_exact import LIDAR, write_drive
from test_report import Page
from test_report import check as check_page

from depth_perception.cli.main import main
from depth_perception.datasets.bag import BagReader
from depth_perception.errors import ConfigurationError
from depth_perception.evaluation.above_picture import ROAD_COLOUR, clouds_from_above
from depth_perception.evaluation.comparison import compare, interval, paired
from depth_perception.evaluation.error_map import COLUMNS, ErrorMap, ErrorMapCounter
from depth_perception.evaluation.error_map_figures import (
    map_colour,
    map_figure,
    map_limit,
    regions,
    side,
    worst_places,
)
from depth_perception.evaluation.evaluate import evaluate
from depth_perception.evaluation.former_run import read_former, run_of
from depth_perception.evaluation.frame_choice import Largest, Typical
from depth_perception.evaluation.page_budget import fitted, size_of
from depth_perception.evaluation.panels import Panel, PanelPicture
from depth_perception.evaluation.pictures import encoded
from depth_perception.evaluation.report import PictureCollector, render, write_report
from depth_perception.frames.frame_set import FrameSet
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.parameters import Parameters

EMBODIED = ("--set", "estimator=embodied", "--set", "motion.enabled=false")


def check(page):
    """As of any page; but the chart of edges may say that there is no true one."""
    return check_page(page.replace("none found", "no edge"))


class Planted(NetworkPipeline):
    """Depth of the ground, wrong by a factor in one part of one camera's image, by frame set.

    `factors` are those of the frame sets in order; the first call, which warms up, is not counted.
    """

    def __init__(self, factors, camera="left", where=np.s_[:, 320:]):
        super().__init__(1.0)
        self.factors, self.camera, self.where = factors, camera, where
        self.calls = -1

    def process(self, frame_set, rig):
        result = super().process(frame_set, rig)
        if self.camera in result.cameras and self.factors:
            factor = self.factors[max(self.calls, 0)]
            result.cameras[self.camera].depth[self.where] *= factor
        self.calls += 1
        return result


def scored(
    factors,
    cameras=("front", "left"),
    former=None,
    worst=3,
    start=0,
    points=None,
    draw=True,
    **planted,
):
    """Score a drive of as many frame sets as factors; they are 10 ms apart."""
    rig = rig_of(**{name: 0.05 * k for k, name in enumerate(cameras)})
    reader, scans = drive(road(0.0) if points is None else points, rig)
    one = next(reader.frame_sets())
    reader.frame_sets = lambda: (
        FrameSet(one.stamp + start + k * 10_000_000, one.frames) for k in range(len(factors))
    )
    collector = PictureCollector(worst, former=former)
    e = evaluate(
        reader, Planted(factors, **planted), scans=scans, observer=collector if draw else None
    )
    return e, collector


def test_a_planted_error_shows_in_its_cells_with_its_sign():
    """The right five of sixteen columns of the left camera is 20 % too far; all else is right."""
    x, y = np.meshgrid(np.arange(4, 14, 0.2), np.arange(-8, 8, 0.2))
    wide = np.stack([x, y, 0 * x], axis=-1).reshape(-1, 3)
    e, collector = scored([1.2], points=wide, where=np.s_[:, 440:])
    assert e.error_map_truth == "/lidar"
    maps = e.error_maps["depth image"]
    assert (maps["left"].columns, maps["left"].rows, maps["left"].size) == (16, 12, (640, 480))
    shown = np.array(maps["left"].shown()).reshape(12, 16)
    median = np.array(maps["left"].median).reshape(12, 16)
    assert shown[:, 11:].any() and shown[:, :11].any()
    assert median[:, 11:][shown[:, 11:]] == pytest.approx(0.2, abs=0.006)
    assert median[:, :11][shown[:, :11]] == pytest.approx(0.0, abs=0.006)
    front = np.array(maps["front"].median)[maps["front"].shown()]
    assert front == pytest.approx(0.0, abs=0.006)
    assert sum(maps["left"].count) + sum(maps["front"].count) == e.points
    [place] = worst_places(maps)
    assert (
        place.camera == "left"
        and place.place == "middle right"
        and place.error == pytest.approx(0.2, abs=0.01)
    )
    # Embodied depth beside it is the ground itself.
    beside = e.error_maps["embodied depth"]["left"]
    assert np.array(beside.median)[beside.shown()] == pytest.approx(0.0, abs=0.006)
    page = render(e, collector.panels, backdrops=collector.backdrops)
    assert "<b>left</b>" in page and "20 % too far" in page and "too near, red too" in page
    check(page)


@pytest.mark.parametrize(("factor", "words"), [(0.7, "30 % too near"), (1.3, "30 % too far")])
def test_the_cell_at_a_pixel_has_the_colour_of_its_error(factor, words):
    counter = ErrorMapCounter((160, 80))
    u, v = np.meshgrid(np.arange(160), np.arange(80))
    uv = np.stack([u.ravel(), v.ravel()], axis=1)
    truth = np.full(len(uv), 10.0)
    prediction = truth.copy()
    # Cells are ten pixels wide: column 3, row 2.
    planted = (uv[:, 0] >= 30) & (uv[:, 0] < 40) & (uv[:, 1] >= 20) & (uv[:, 1] < 30)
    prediction[planted] *= factor
    prediction[uv[:, 0] >= 150] = np.nan
    counter.add(uv, prediction, truth)
    item = counter.map()
    assert (item.columns, item.rows) == (COLUMNS, 8)
    off = [k for k, value in enumerate(item.median) if abs(value) > 0.01]
    assert off == [2 * COLUMNS + 3] and item.median[off[0]] == pytest.approx(factor - 1, abs=0.004)
    assert item.count[0] == 100 and item.count[15] == 0 and item.truth_count[15] == 100
    figure = map_figure("front", item, 0.5)
    cell = figure.cells[off[0]]
    assert cell.hint == f"{words}, 100 points" and cell.text == f"{100 * (factor - 1):+.0f}"
    red, blue = int(cell.colour[1:3], 16), int(cell.colour[5:7], 16)
    assert (red > blue) == (factor > 1)
    assert figure.cells[15].colour == "" and "100 more without a depth" in figure.cells[15].hint
    assert map_colour(-0.5, 0.5) != map_colour(0.5, 0.5) and map_colour(0.0, 0.5) == map_colour(
        0.0, 0.1
    )


def test_the_median_of_a_cell_is_not_moved_by_a_few_wild_points():
    counter = ErrorMapCounter((16, 16))
    prediction = np.full(101, 10.5)
    prediction[:20] = 200.0
    counter.add(np.zeros((101, 2)), prediction, np.full(101, 10.0))
    assert counter.map().median[0] == pytest.approx(0.05, abs=0.005)
    prediction[:] = 200.0
    wild = ErrorMapCounter((16, 16))
    wild.add(np.zeros((101, 2)), prediction, np.full(101, 10.0))
    assert wild.map().median[0] == 1.0 and side(1.0) == "100 % or more too far"


def test_few_points_are_grey_and_name_no_place():
    item = ErrorMap(
        3, 3, (30, 30), [0.4] + [0.0] * 7 + [math.nan], [19] + [500] * 7 + [0], [500] * 9
    )
    assert map_figure("front", item, 0.5).cells[0].colour == ""
    assert all(region.error == 0 for region in regions("front", item))
    assert "no part of the image is off" in map_figure("front", item, 0.5).reading
    assert map_limit([item]) == 0.05 and map_limit([]) == 0.05
    assert worst_places({"front": item}) == []
    # A region with hardly any points is not where to begin.
    rim = dataclasses.replace(item, median=[0.9] + [0.1] * 8, count=[25] + [500] * 8)
    [place] = worst_places({"front": rim})
    assert place.error == pytest.approx(0.1)


def test_exact_truth_fills_the_maps_and_ranks_the_frames_without_a_lidar(tmp_path):
    bag = write_drive(tmp_path / "drive", leave_out=(LIDAR,))
    collector = PictureCollector()
    with BagReader(bag, Parameters()) as reader:
        pipeline = Planted([1.0, 0.8, 1.0], camera="front", where=np.s_[:, :160])
        e = evaluate(reader, pipeline, observer=collector)
    assert e.error_map_truth == "exact truth" and e.points == 0
    assert sum(e.error_maps["depth image"]["front"].count) == e.exact.all.metric.count
    assert collector.panels[0].title.startswith("Worst of 3: frame set 2")
    captions = [picture.caption for picture in collector.panels[0].pictures]
    assert any(c.startswith("Error at every pixel") for c in captions)
    assert any("exact truth on the right" in c for c in captions)
    check(render(e, collector.panels, backdrops=collector.backdrops))


def test_frame_sets_come_worst_first_then_one_from_the_middle():
    e, collector = scored([1.1, 1.5, 1.02, 1.3, 1.04, 1.01, 1.06], worst=2)
    numbers = [panel.title.split("frame set ")[1].split(",")[0] for panel in collector.panels]
    # Of 1, 2, 4, 6, 10, 30, 50 % the median is 6 %: frame set 7.
    assert numbers == ["2", "4", "7"]
    errors = {row.number: row.metric.abs_rel for row in e.by_frame}
    assert f"AbsRel {errors[2]:.3f}" in collector.panels[0].title
    assert "about the median" in collector.panels[2].title
    # The numbers of the frame set stand beside it: the left camera has them all.
    heads, mean, front, left = collector.panels[0].numbers
    assert heads[1] == "AbsRel" and front[1] == "0.000" and float(left[1]) > 0.2
    assert float(mean[1]) == pytest.approx(float(left[1]) / 2, abs=2e-3)
    page = render(e, collector.panels)
    read = check(page)
    assert page.index("frame set 2, ") < page.index("frame set 4, ") < page.index("frame set 7, ")
    assert any("LiDAR" in i["alt"] and "from above" in i["alt"] for i in read.images)


def test_a_frame_set_without_any_depth_is_the_worst():
    _, collector = scored([1.1, math.nan, 1.2], camera="front", cameras=("front",), where=np.s_[:])
    assert (
        collector.panels[0].title.endswith("no depth")
        and "frame set 2" in collector.panels[0].title
    )


def test_only_what_may_be_shown_is_drawn():
    keys = [math.sin(k * k) for k in range(400)]
    largest, typical, made = Largest(3), Typical(), []
    for k, key in enumerate(keys):
        largest.offer(key, lambda k=k: made.append(k) or k)
        typical.offer(key, lambda k=k: made.append(k) or k)
    assert [k for _, k in largest.items] == sorted(range(400), key=lambda k: -keys[k])[:3]
    assert len(made) < 200
    # Whatever the order, the typical one is near the median by rank.
    for order in (keys, sorted(keys), sorted(keys, reverse=True)):
        typical = Typical()
        for key in order:
            typical.offer(key, lambda: None)
        rank = sorted(keys).index(typical.item[0]) / len(keys)
        assert rank == pytest.approx(0.5, abs=0.15)
    even = Largest(2)
    for k in range(4):
        even.offer(1.0, lambda k=k: k)
    assert [k for _, k in even.items] == [0, 1]


def test_both_clouds_from_above_lie_on_one_scale():
    """A post 20 m ahead and 5 m to the left, in both clouds; road only in the truth."""
    post = np.array([[20.0, 5.0, z] for z in np.arange(0.5, 2.0, 0.1)])
    ground = np.array([[12.0, 3.0, 0.0]])
    picture = clouds_from_above(post, np.concatenate([post, ground]), GroundPlane(), "LiDAR")
    height, width = picture.shape[:2]
    half = (width - 8) // 2
    above = picture[: height - 60]
    orange = (above[..., 2] > 200) & (above[..., 0] < 160) & (above[..., 1] < 235)
    right = np.argwhere(orange[:, half + 8 :]).mean(axis=0)
    # 10 px to the metre, 30 m to either side, 50 m ahead.
    assert right == pytest.approx([300, 250], abs=4)
    # On the left the truth's obstacles lie over depth in cyan, at the same place.
    cyan = np.argwhere((above[:, :half] == (255, 214, 60)).all(axis=2))
    assert cyan.mean(axis=0) == pytest.approx([300, 250], abs=4)
    # Road keeps its grey (shadows are lifted) and is no obstacle.
    patch = picture[378:383, half + 8 + 268 : half + 8 + 273].reshape(-1, 3).astype(int)
    lifted = (255 * (np.array(ROAD_COLOUR) / 255.0) ** 0.7).astype(int)
    assert (np.abs(patch - lifted).sum(axis=1) < 6).any()


def test_before_and_after_tells_what_changed_where():
    """Frame set 2 got better by far, 4 worse; the first is as it was."""
    before, _ = scored([1.1, 1.5, 1.1, 1.1], draw=False)
    former = run_of(before)
    after, collector = scored([1.1, 1.2, 1.1, 1.3], former=former.abs_rel())
    comparison = compare(former, run_of(after))
    [worse], [better] = comparison.worse, comparison.better
    assert (worse.number, better.number) == (4, 2)
    old = [row.metric.abs_rel for row in before.by_frame]
    new = [row.metric.abs_rel for row in after.by_frame]
    assert (worse.before, worse.after) == pytest.approx((old[3], new[3]))
    assert worse.seconds == pytest.approx(0.03)
    figures = {item.name: item for item in comparison.figures}
    assert figures["AbsRel"].before == pytest.approx(np.mean(old))
    assert figures["AbsRel"].change == pytest.approx(np.mean(new) - np.mean(old))
    assert figures["AbsRel"].verdict == "unclear" and figures["coverage"].verdict == "same"
    cameras = {item.name: item for item in comparison.cameras}
    assert cameras["front"].verdict == "same"
    assert cameras["left"].change == pytest.approx(2 * figures["AbsRel"].change)
    titles = [panel.title for panel in collector.changed]
    assert titles[0].startswith("Worse by") and "frame set 4" in titles[0]
    assert titles[1].startswith("Better by") and "frame set 2" in titles[1] and len(titles) == 2
    page = render(
        after,
        collector.panels,
        comparison=comparison,
        changed=collector.changed,
        backdrops=collector.backdrops,
    )
    read = check(page)
    assert "Before and after" in page and "left, before" in page and "left, now" in page
    assert "no clear difference" in "".join(read.words)
    assert page == render(
        after,
        collector.panels,
        comparison=comparison,
        changed=collector.changed,
        backdrops=collector.backdrops,
    )


def test_better_and_worse_depend_on_the_figure():
    rng = np.random.default_rng(5)
    before = rng.normal(0.5, 0.2, 60)
    after = before - 0.05 + rng.normal(0, 0.02, 60)
    down = paired("AbsRel", before, after)
    assert down.verdict == "better" and down.low < down.change < down.high < 0
    # Pairs: the frame sets' own spread, far wider, has no say.
    assert down.high - down.low < 0.03 < 2 * before.std() / math.sqrt(60)
    assert paired("δ1", before, after, more_is_better=True).verdict == "worse"
    assert paired("AbsRel", before, before).verdict == "same"
    assert paired("AbsRel", before[:2], after[:2]).verdict == "unclear"
    gone = paired("AbsRel", np.array([math.nan, 1.0]), np.array([1.0, math.nan]))
    assert gone.frames == 0 and gone.verdict == ""


def test_depth_that_is_nearer_to_the_truth_is_better_by_every_figure():
    far, near = (
        run_of(scored([k, 1.01 * k, 1.02 * k, 0.99 * k], draw=False, where=np.s_[:])[0])
        for k in (1.3, 1.06)
    )
    for before, after, verdict in ((far, near, "better"), (near, far, "worse")):
        found = {item.name: item.verdict for item in compare(before, after).figures}
        assert found["coverage"] == "same"
        assert {found[name] for name in ("AbsRel", "RMSE", "δ1", "A10")} == {verdict}, found


def test_intervals_hold_the_mean_and_grow_with_resemblance():
    rng = np.random.default_rng(3)
    alone = rng.normal(0, 1, 512)
    low, high = interval(alone)
    # 1.96 standard errors to either side of the mean.
    assert (high - low) / 2 == pytest.approx(1.96 / math.sqrt(512), rel=0.25)
    assert low < alone.mean() < high and interval(alone) == (low, high)
    # Runs of eight alike are an eighth as many: 2.8 times as wide.
    alike = interval(np.repeat(alone[:64], 8))
    assert 1.8 < (alike[1] - alike[0]) / (high - low) < 3.3
    assert interval(np.full(10, 0.5)) == pytest.approx((0.5, 0.5))


def test_another_drive_rig_or_truth_is_refused():
    former = run_of(scored([1.1, 1.2], draw=False)[0])
    with pytest.raises(ConfigurationError, match="another drive"):
        compare(former, run_of(scored([1.1, 1.2], start=10**12, draw=False)[0]))
    with pytest.raises(ConfigurationError, match="another drive"):
        former.check_begin(10**13)
    former.check_begin(min(former.frames))
    with pytest.raises(ConfigurationError, match="camera left, which the bag does not have"):
        compare(
            former, run_of(scored([1.1], cameras=("front", "rear"), camera="rear", draw=False)[0])
        )
    with pytest.raises(ConfigurationError, match="other truth"):
        compare(dataclasses.replace(former, truth=("/other", 80.0)), former)
    longer = run_of(scored([1.1, 1.2, 1.3], draw=False)[0])
    comparison = compare(former, longer)
    assert (comparison.shared, comparison.alone) == (2, (0, 1))
    assert all(item.frames == 2 for item in comparison.figures)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "is not there"),
        ("[", "cannot be read as JSON"),
        ("[]", "is not what evaluate wrote"),
        ('{"bag": "a"}', "is not what evaluate wrote"),
    ],
)
def test_what_is_no_former_run_is_refused(tmp_path, text, why):
    file = tmp_path / "former.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigurationError, match=why):
        read_former(str(file))
    with pytest.raises(ConfigurationError, match=r"has no figures\.json"):
        read_former(str(tmp_path))


def test_a_run_before_there_were_maps_can_be_compared(tmp_path):
    e, collector = scored([1.1, 1.2])
    data = e.to_dict()
    del data["error_maps"], data["error_map_truth"]
    for row in data["by_frame"]:
        del row["cameras"]
    (tmp_path / "old.json").write_text(json.dumps(data))
    comparison = compare(read_former(str(tmp_path / "old.json")), run_of(e))
    assert all(item.verdict in ("same", "") for item in comparison.figures)
    page = render(e, collector.panels, comparison=comparison)
    check(page)
    assert "no error maps" in page


def test_evaluate_against_a_report_folder_and_refuses_early(tmp_path, capsys):
    bag = str(write_drive(tmp_path / "drive", frames=2))
    once = ["evaluate", bag, *EMBODIED]
    assert main([*once, "--report", str(tmp_path / "one")]) == 0
    numbers = json.loads((tmp_path / "one" / "figures.json").read_text())
    assert numbers["error_maps"]["depth image"]["front"]["columns"] == COLUMNS
    capsys.readouterr()
    against = [*once, "--against", str(tmp_path / "one")]
    assert (
        main([*against, "--report", str(tmp_path / "two"), "--json", str(tmp_path / "two.json")])
        == 0
    )
    assert "Against the former run, 2 frame sets" in capsys.readouterr().out
    figures = json.loads((tmp_path / "two.json").read_text())["against"]["figures"]
    assert figures[0]["name"] == "AbsRel" and figures[0]["verdict"] == "same"
    page = (tmp_path / "two" / "index.html").read_text()
    assert "Before and after" in page
    check(page)
    # A former run of an hour later: refused at the first frame set, before anything is written.
    for row in numbers["by_frame"]:
        row["stamp"] += 3600 * 10**9
    (tmp_path / "later.json").write_text(json.dumps(numbers))
    late = [*once, "--against", str(tmp_path / "later.json"), "--report", str(tmp_path / "three")]
    assert main(late) == 1
    assert "another drive" in capsys.readouterr().err and not (tmp_path / "three").exists()
    assert main([*once, "--worst", "0"]) == 1
    assert "--worst 0" in capsys.readouterr().err


def large_panel(name, seed):
    """Six small pictures of noise, with bytes behind them that no decoder reads."""
    noise = np.random.default_rng(seed).integers(0, 256, (60, 240, 3), np.uint8)
    data = encoded(noise, 95) + bytes(550_000)
    return Panel(name, [PanelPicture(f"picture {k}", "words", data, 3) for k in range(6)])


def test_the_page_stays_below_its_size_and_says_what_it_left_out(tmp_path):
    cameras = [f"camera_{k:02d}" for k in range(12)]
    e, collector = scored([1.2], cameras=cameras, camera=cameras[3])
    panels = [large_panel(f"set {k}", k) for k in range(5)]
    assert size_of(panels) > 20_000_000
    page = write_report(tmp_path, e, panels, backdrops=collector.backdrops)
    assert page.stat().st_size < 15_000_000
    text = page.read_text()
    assert "JPEG quality" in text and text.count("data:image/jpeg") == 30
    # Less room: others than the worst go first, then its own pictures from the last.
    rest = len(render(e, [], backdrops=collector.backdrops).encode())
    one = size_of(fitted(panels, 150_000)[0][:1])
    for room, pictures in ((2.5, 12), (0.6, 3)):
        limit = rest + int(room * one)
        text = render(e, panels, limit=limit, backdrops=collector.backdrops)
        assert len(text.encode()) <= limit
        assert text.count("data:image/jpeg") == pictures
        words = "".join(Page(text).words)
        assert "Left out: " + "; ".join(f"set {k}" for k in range(pictures // 6 or 1, 5)) in words
        assert ("Left out of set 0: picture 3; picture 4; picture 5." in words) == (pictures < 6)
    # Not even the cameras' images below the maps have room: the numbers stay.
    bare = render(e, panels, limit=rest - 2000, backdrops=collector.backdrops)
    assert len(bare.encode()) < rest and "the cameras' images below" in "".join(Page(bare).words)
    same, nothing = fitted(panels, 10**9)
    assert same == panels and nothing == []

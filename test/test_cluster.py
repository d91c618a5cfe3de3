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

"""Many bags at once: where they lie, how runs are compared, and the page; without Ray."""

import math
from pathlib import Path

import numpy as np
import pytest
from tiny_drive import write_drive

from depth_perception.cli.main import main
from depth_perception.cluster.bags import Bag, fetched, find_bags, identity
from depth_perception.cluster.comparison import (
    SCORES,
    UNTAGGED,
    compared,
    grouped,
    mean_interval,
    moved_most,
    read_tags,
    tags_of_bags,
)
from depth_perception.cluster.judge import BagPicture, Question, code_digest, key_of
from depth_perception.cluster.parts import part_bounds
from depth_perception.cluster.report import Contents, render
from depth_perception.cluster.tables import BAG_COLUMNS, CAMERA_COLUMNS, complete
from depth_perception.errors import BagError, ConfigurationError
from depth_perception.parameters import Parameters, from_flat

ABS_REL = SCORES[0]


def row(bag, abs_rel, **others):
    about = {"bag": bag, "estimator": "fused", "status": "done", "truth": "lidar"}
    return complete({**about, "abs_rel": abs_rel, **others}, BAG_COLUMNS)


def test_patterns_name_each_bag_once_by_what_tells_it_apart(tmp_path):
    for name in ("a/one", "a/two", "b/one"):
        (tmp_path / name).mkdir(parents=True)
    bags = find_bags([f"{tmp_path}/*/*", f"{tmp_path}/a/one"])
    assert [bag.name for bag in bags] == ["a/one", "two", "b/one"]
    assert bags[1].address == f"{tmp_path}/a/two"


def test_a_bag_that_is_not_there_is_named():
    with pytest.raises(BagError, match=r"bag '/nowhere/\*' does not exist"):
        find_bags(["/nowhere/*"])


def test_another_size_or_time_is_another_bag(tmp_path):
    file = tmp_path / "drive.mcap"
    file.write_bytes(b"one")
    bag = Bag("drive", str(file))
    before = identity(bag)
    assert before == [["drive.mcap", 3, file.stat().st_mtime_ns]]
    file.write_bytes(b"three")
    assert identity(bag)[0][1] == 5


def test_a_result_belongs_to_bag_parameters_and_question(tmp_path):
    file = tmp_path / "drive.mcap"
    file.write_bytes(b"one")
    bag = Bag("drive", str(file))
    asked = [
        Question(Parameters()),
        Question(from_flat({"estimator": "embodied"})),
        Question(Parameters(), max_depth=60.0),
    ]
    assert len({key_of(bag, question, "code") for question in asked}) == 3
    # Parts change nothing of the result.
    assert key_of(bag, asked[0], "code") == key_of(bag, Question(Parameters(), part=9), "code")
    assert key_of(bag, asked[0], "code") != key_of(bag, asked[0], "other code")


def test_a_named_file_is_part_of_the_key(tmp_path):
    model = tmp_path / "model.onnx"
    parameters = from_flat({"fused.model": str(model)})
    digests = set()
    for content in (b"one", b"two"):
        model.write_bytes(content)
        digests.add(code_digest(parameters))
    assert len(digests) == 2


class TestStores:
    """Bags of an object store, held in memory by fsspec."""

    @pytest.fixture
    def store(self):
        fsspec = pytest.importorskip("fsspec", reason="needs requirements/cluster.txt")
        system = fsspec.filesystem("memory")
        system.pipe("/drives/one/metadata.yaml", b"meta")
        system.pipe("/drives/one/one.mcap", b"12345")
        system.pipe("/drives/two.mcap", b"678")
        yield system
        system.rm("/drives", recursive=True)

    def test_patterns_and_copies_that_are_removed_again(self, store, tmp_path):
        bags = find_bags(["memory://drives/*"])
        assert [bag.name for bag in bags] == ["one", "two.mcap"]
        with fetched(bags[0].address, str(tmp_path)) as path:
            assert path.name == "one"
            assert (path / "one.mcap").read_bytes() == b"12345"
        with fetched(bags[1].address, str(tmp_path)) as path:
            assert path.read_bytes() == b"678"
        assert list(tmp_path.iterdir()) == []

    def test_a_copy_of_another_size_is_refused(self, store, tmp_path, monkeypatch):
        def cut_off(self, path, target):
            Path(target).write_bytes(b"1")

        monkeypatch.setattr(type(store), "get_file", cut_off)
        with (
            pytest.raises(BagError, match=r"two.mcap' came with 1 bytes; expected 3"),
            fetched("memory://drives/two.mcap", str(tmp_path)),
        ):
            pass
        assert list(tmp_path.iterdir()) == []

    def test_a_full_disk_is_named_before_anything_is_copied(self, store, tmp_path, monkeypatch):
        from depth_perception.cluster import bags

        monkeypatch.setattr(bags.shutil, "disk_usage", lambda path: type("", (), {"free": 2}))
        with (
            pytest.raises(OSError, match="0 MB are free"),
            fetched("memory://drives/two.mcap", str(tmp_path)),
        ):
            pass

    def test_new_content_is_another_bag(self, store):
        bag = Bag("two", "memory://drives/two.mcap")
        before = identity(bag)
        store.pipe("/drives/two.mcap", b"999")
        assert identity(bag) != before


def test_bags_are_parted_only_where_no_set_needs_the_one_before():
    assert part_bounds(10, motion=False, frames=0, part=4) == [(0, 4), (4, 8), (8, None)]
    assert part_bounds(10, motion=False, frames=6, part=4) == [(0, 4), (4, 6)]
    assert part_bounds(10, motion=True, frames=0, part=4) == [(0, None)]
    assert part_bounds(10, motion=False, frames=0, part=0) == [(0, None)]
    assert part_bounds(4, motion=False, frames=0, part=4) == [(0, None)]


def test_the_interval_of_two_bags_reaches_from_one_to_the_other():
    # Two are drawn of two: a quarter of the draws is one bag twice, more than the 2.5 % cut off.
    interval = mean_interval([0.1, 0.3, math.nan])
    assert (interval.mean, interval.low, interval.high) == pytest.approx((0.2, 0.1, 0.3))
    assert interval.bags == 2


def test_an_interval_is_about_two_standard_errors_to_each_side():
    values = np.linspace(0, 1, 400)
    interval = mean_interval(values)
    error = values.std() / 20
    assert interval.low == pytest.approx(0.5 - 1.96 * error, abs=0.2 * error)
    assert interval.high == pytest.approx(0.5 + 1.96 * error, abs=0.2 * error)
    assert interval == mean_interval(values)


def test_one_bag_has_no_interval():
    interval = mean_interval([0.2])
    assert interval.mean == 0.2
    assert math.isnan(interval.low)


def test_runs_are_compared_bag_by_bag():
    before = [row("a", 0.3), row("b", 0.2), row("c", 0.1), row("gone", 9.0)]
    now = [row("a", 0.2), row("b", 0.1), row("c", 0.05), row("new", 9.0)]
    change = compared(now, before, ABS_REL)
    assert (change.before, change.now) == pytest.approx((0.2, 0.35 / 3))
    assert change.difference.mean == pytest.approx(-0.25 / 3)
    # Of three bags each is drawn alone in one of 27 draws: more than is cut off.
    assert (change.difference.low, change.difference.high) == pytest.approx((-0.1, -0.05))
    assert (change.better, change.worse, change.verdict) == (3, 0, "better")
    back = compared(before, now, ABS_REL)
    assert (back.better, back.worse, back.verdict) == (0, 3, "worse")


def test_a_share_is_better_when_it_grows():
    delta1 = next(score for score in SCORES if score.name == "delta1")
    before, now = ([row("a", 0, delta1=x), row("b", 0, delta1=x + 0.1)] for x in (0.5, 0.6))
    assert compared(now, before, delta1).verdict == "better"
    assert compared(before, now, delta1).verdict == "worse"


def test_an_interval_over_zero_shows_no_difference():
    change = compared([row("a", 0.2), row("b", 0.2)], [row("a", 0.1), row("b", 0.4)], ABS_REL)
    assert (change.better, change.worse, change.verdict) == (1, 1, "same")


def test_what_moved_most_comes_first_and_what_stood_not_at_all():
    before = [row("a", 0.3), row("b", 0.2), row("c", 0.1), row("d", 0.1)]
    now = [row("a", 0.2), row("b", 0.5), row("c", 0.2), row("d", 0.1)]
    better, worse = moved_most(now, before, 10)
    assert better == [("a", 0.3, 0.2)]
    assert [bag for bag, *_ in worse] == ["b", "c"]


def test_tags_of_a_csv_part_bags_into_groups(tmp_path):
    file = tmp_path / "tags.csv"
    file.write_text("bag,weather\na,rain\n/data/b,clear\nc,rain\nz,snow\n")
    addresses = {"a": "/data/a", "b": "/data/b", "c": "/data/c", "d": "/data/d"}
    tags, untagged = tags_of_bags(read_tags(file), addresses)
    assert tags == {"weather": {"a": "rain", "b": "clear", "c": "rain"}}
    assert untagged == ["d"]
    rows = [row("a", 0.1), row("b", 0.5), row("c", 0.3), row("d", 0.4)]
    groups = grouped(rows, [row("a", 0.3), row("c", 0.5)], tags["weather"])
    assert [(g.value, g.scores[0].mean, g.scores[0].bags) for g in groups] == [
        ("clear", 0.5, 1),
        (UNTAGGED, 0.4, 1),
        ("rain", pytest.approx(0.2), 2),
    ]
    assert groups[0].change is None
    assert groups[2].change.difference.mean == pytest.approx(-0.2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,weather\na,rain\n", "has the columns name, weather"),
        ("bag,weather\na,rain\na,clear\n", "line 3: bag 'a' is there twice"),
    ],
)
def test_a_wrong_csv_is_named(tmp_path, text, words):
    file = tmp_path / "tags.csv"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=words):
        read_tags(file)


class TestPage:
    """The page over all bags, of made-up scores."""

    def contents(self, **changes):
        rows = [row(f"d{k}", 0.01 * k, delta1=0.9, frame_sets=5, images=10) for k in range(1, 13)]
        rows.append(row("lost", math.nan, status="failed", error="the <disk> is full"))
        camera = {"camera": "front", "estimator": "fused", "abs_rel": 0.1}
        cameras = [complete({**camera, "bag": r["bag"]}, CAMERA_COLUMNS) for r in rows[:12]]
        pictures = [BagPicture("What the cameras see", "Images of front.", b"jpeg of it")]
        made = {
            "rows": rows,
            "cameras": cameras,
            "estimator": "fused",
            "pictures_of": lambda row: pictures,
            "failed": {"lost": "the <disk> is full"},
        }
        return Contents(**{**made, **changes})

    def test_the_worst_ten_are_pictured_in_one_file(self):
        page = render(self.contents())
        assert page.count("data:image/jpeg;base64,") == 10
        places = [page.index(f". d{k}: AbsRel") for k in range(12, 2, -1)]
        assert places == sorted(places)
        assert ". d2: AbsRel" not in page
        assert "http://" not in page and "https://" not in page
        assert 'src="data:' in page and "<script" not in page

    def test_what_failed_is_named_and_counts_for_nothing(self):
        page = render(self.contents())
        assert "the &lt;disk&gt; is full" in page
        assert "Depth over 12 bags" in page
        assert "60 frame sets" in page

    def test_it_says_what_got_worse_and_is_the_same_again(self):
        former = [row(f"d{k}", 0.01 * k - 0.005) for k in range(1, 12)]
        contents = self.contents(former=former, former_name="before.parquet")
        page = render(contents)
        assert "11 bags in both runs" in page
        assert '<td class="worse">worse</td>' in page
        assert "Bags of this run alone</summary>" not in page
        assert "Bags of this run alone: 1" in page
        assert page == render(contents)


def test_several_bags_need_the_cluster(tmp_path, capsys):
    for name in ("a", "b"):
        write_drive(tmp_path / name, frames=1)
    assert main(["evaluate", str(tmp_path / "a"), str(tmp_path / "b")]) == 1
    assert "2 bags; expected one bag. Fix: add --cluster" in capsys.readouterr().err


def test_without_ray_the_command_says_how_to_get_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    arguments = ["evaluate", str(tmp_path), "--cluster", "--output", str(tmp_path / "out")]
    assert main(arguments) == 1
    assert "pip install 'depth_perception[cluster]'" in capsys.readouterr().err


def test_a_table_of_a_run_is_read_back_as_it_was_written(tmp_path):
    pytest.importorskip("pyarrow", reason="needs requirements/cluster.txt")
    from depth_perception.cluster.tables import TableWriter, read_table

    rows = [row("a", 0.25, frame_sets=3), row("b", math.nan, error="x")]
    with TableWriter(tmp_path / "bags.parquet", BAG_COLUMNS) as writer:
        writer.write(rows)
    first, second = read_table(tmp_path / "bags.parquet")
    assert (first["bag"], first["abs_rel"], first["frame_sets"]) == ("a", 0.25, 3)
    assert (second["abs_rel"], second["error"]) == (None, "x")
    (tmp_path / "other.parquet").write_text("no table")
    with pytest.raises(ConfigurationError, match=r"other\.parquet' cannot be read"):
        read_table(tmp_path / "other.parquet")

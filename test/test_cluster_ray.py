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

"""Many bags on a real Ray of two workers: the figures, what fails, what is done twice and what not.

Ray is started once for all tests here, with nothing of it outside of a temporary folder.
"""

import json
import shutil

import pytest
from tiny_drive import write_drive

pytest.importorskip("ray", reason="needs Ray: make extras (requirements/cluster.txt)")
pytest.importorskip("pyarrow", reason="needs pyarrow: make extras (requirements/cluster.txt)")

import cluster_tasks
from ray import cloudpickle

from depth_perception.cli.main import main
from depth_perception.cluster import judge_bags as judging
from depth_perception.cluster.bags import find_bags
from depth_perception.cluster.engine import Resources, outcomes, session
from depth_perception.cluster.judge import Question
from depth_perception.cluster.judge_bags import Comparison, Run, judge_bags
from depth_perception.cluster.results import ResultFolder
from depth_perception.cluster.tables import read_table
from depth_perception.parameters import from_flat

SETTINGS = {"estimator": "embodied", "motion.enabled": False}
SETS = {"long": 5, "short": 2, "stored": 2}


@pytest.fixture(scope="module", autouse=True)
def ray_of_two():
    with session("", 2) as cores:
        assert cores == 2
        # Workers find the package, and no folder of tests.
        cloudpickle.register_pickle_by_value(cluster_tasks)
        yield
        cloudpickle.unregister_pickle_by_value(cluster_tasks)


@pytest.fixture(scope="module")
def drives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drives")
    for name, frames in SETS.items():
        write_drive(folder / name, frames=frames)
    write_drive(folder / "damaged", frames=1)
    for file in (folder / "damaged").glob("*.mcap"):
        file.write_bytes(b"no bag at all")
    return folder


@pytest.fixture(scope="module")
def question():
    return Question(from_flat(SETTINGS), part=2)


@pytest.fixture(scope="module")
def bags(drives):
    return find_bags(
        [f"{drives}/long", f"{drives}/short", f"{drives}/damaged", f"file://{drives}/stored"]
    )


@pytest.fixture(scope="module")
def scored(bags, question, tmp_path_factory):
    """The folder of a run, and what failed in it."""
    folder = tmp_path_factory.mktemp("run")
    failed = judge_bags(bags, question, folder, Run(cache=str(folder)), Comparison())
    return folder, failed


@pytest.mark.parametrize("name", SETS)
def test_figures_are_those_without_ray_to_the_last_digit(
    name, scored, drives, bags, question, tmp_path
):
    folder, _ = scored
    numbers = tmp_path / "numbers.json"
    settings = [f"--set={key}={json.dumps(value)}" for key, value in SETTINGS.items()]
    assert main(["evaluate", str(drives / name), "--json", str(numbers), *settings]) == 0
    alone = json.loads(numbers.read_text())
    bag = next(bag for bag in bags if bag.name == name)
    key = judging._keys([bag], question, {})[name]
    result = ResultFolder(folder).finished(name, key)
    assert alone["frame_sets"] == SETS[name]  # the long one was computed in three parts
    for figures in (alone, result.evaluation):
        assert figures.pop("latency")  # times are another each time
    assert result.evaluation == alone


def test_a_damaged_bag_is_named_and_the_others_are_whole(scored):
    folder, failed = scored
    assert list(failed) == ["damaged"]
    rows = {row["bag"]: row for row in read_table(folder / "bags.parquet")}
    assert {name: row["status"] for name, row in rows.items()} == {
        "long": "done",
        "short": "done",
        "damaged": "failed",
        "stored": "done",
    }
    assert "damaged" in rows["damaged"]["error"]
    assert rows["damaged"]["abs_rel"] is None
    assert rows["stored"]["abs_rel"] == rows["short"]["abs_rel"]  # the same drive
    page = (folder / "index.html").read_text()
    assert "1 bag could not be scored" in page
    assert page.count("data:image/jpeg;base64,") == 9
    # Nothing is left of the copy of the one from the store.
    assert [path.name for path in folder.iterdir() if "depth_perception_bag" in path.name] == []


def test_frames_and_cameras_have_a_row_each(scored):
    import pyarrow.parquet

    folder, _ = scored
    frames = pyarrow.parquet.read_table(folder / "frames.parquet").to_pylist()
    found = {(row["bag"], row["number"], row["camera"]) for row in frames}
    assert len(found) == len(frames) == 2 * sum(SETS.values())
    cameras = pyarrow.parquet.read_table(folder / "cameras.parquet").to_pylist()
    assert [(r["bag"], r["camera"], r["images"]) for r in cameras if r["bag"] == "long"] == [
        ("long", "front", 5),
        ("long", "rear", 5),
    ]


def test_what_is_done_is_not_done_again(scored, bags, question, monkeypatch):
    folder, failed = scored
    asked = []

    def noted(function, jobs, resources):
        asked.extend(job.bag.name for job in jobs)
        return outcomes(function, jobs, resources)

    monkeypatch.setattr(judging, "outcomes", noted)
    kept = {path: path.stat().st_mtime_ns for path in (folder / "bags").iterdir()}
    table, page = ((folder / name).read_bytes() for name in ("bags.parquet", "index.html"))
    assert judge_bags(bags, question, folder, Run(), Comparison()) == failed
    assert asked == ["damaged"]
    assert {path: path.stat().st_mtime_ns for path in (folder / "bags").iterdir()} == kept
    assert (folder / "bags.parquet").read_bytes() == table
    assert (folder / "index.html").read_bytes() == page


def test_the_command_says_what_failed_and_ends_with_an_error(scored, drives, tmp_path, capsys):
    folder = tmp_path / "again"
    shutil.copytree(scored[0], folder)
    settings = [f"--set={key}={json.dumps(value)}" for key, value in SETTINGS.items()]
    names = ["long", "short", "damaged"]
    arguments = ["evaluate", *(str(drives / n) for n in names), "--cluster", "--retries=0"]
    against = ["--against", str(folder)]
    assert main([*arguments, "--output", str(folder), *settings, *against]) == 1
    said = capsys.readouterr()
    assert "2 bags scored, 1 with an error" in said.out
    assert "error: damaged: " in said.err
    assert "2 bags in both runs" in (folder / "index.html").read_text()


def test_replayed_bags_have_the_bytes_of_those_without_ray(drives, tmp_path, capsys):
    settings = [f"--set={key}={json.dumps(value)}" for key, value in SETTINGS.items()]
    one, all_ = tmp_path / "one", tmp_path / "all"
    for name in ("short", "stored"):
        alone = ["replay", str(drives / name), "--output", str(one / name)]
        assert main([*alone, *settings]) == 0
    bags = [str(drives / "short"), f"file://{drives}/stored", str(drives / "damaged")]
    command = ["replay", *bags, "--cluster", "--retries=0", "--output", str(all_), *settings]
    assert main(command) == 1
    said = capsys.readouterr()
    assert "2 bags replayed, 1 with an error" in said.out
    assert "error: damaged: " in said.err
    for name in ("short", "stored"):
        (file,) = (all_ / name).glob("*.mcap")
        assert file.read_bytes() == (one / name / file.name).read_bytes()
    made = file.stat().st_mtime_ns
    assert main(command) == 1  # what is there is not made again
    assert file.stat().st_mtime_ns == made


@pytest.fixture
def ran(tmp_path):
    """A file with a line for each time that a task ran."""
    return tmp_path / "ran"


def outcome_of(function, path, retries):
    (outcome,) = outcomes(function, [str(path)], Resources(retries=retries))
    return outcome, len(path.read_text().splitlines())


def test_a_task_whose_worker_was_killed_is_started_again(ran):
    outcome, times = outcome_of(cluster_tasks.killed_once, ran, 1)
    assert (outcome.value, outcome.error, times) == (2, "", 2)


def test_a_worker_that_is_killed_each_time_is_named_after_the_last(ran):
    outcome, times = outcome_of(cluster_tasks.killed_always, ran, 1)
    assert times == 2
    assert outcome.value is None
    assert "its process was killed" in outcome.error


def test_a_full_disk_is_tried_again_and_named(ran):
    outcome, times = outcome_of(cluster_tasks.full_disk, ran, 2)
    assert times == 3
    assert "No space left on device" in outcome.error


def test_a_mistake_in_the_code_is_not_tried_again(ran):
    outcome, times = outcome_of(cluster_tasks.wrong, ran, 2)
    assert times == 1
    assert outcome.error == "ZeroDivisionError: by a mistake"

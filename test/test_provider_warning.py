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

"""A provider that was asked for and is absent: one warning, and what to install."""

import json

import pytest
from tiny_drive import write_drive

from depth_perception.cli.main import main
from depth_perception.inference.onnx_session import CPU, PROVIDERS, absent_provider
from depth_perception.parameters import from_flat
from depth_perception.pipeline import SurroundPipeline

onnxruntime = pytest.importorskip("onnxruntime")
CUDA, TENSORRT = PROVIDERS["cuda"], PROVIDERS["tensorrt"]


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    return str(write_drive(tmp_path_factory.mktemp("drive") / "bag", frames=2))


@pytest.fixture
def only_cpu(monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])


@pytest.mark.parametrize(
    ("asked", "used"),
    [
        ([], CPU),
        (["cpu"], CPU),
        (["cuda"], CUDA),
        (["CUDAExecutionProvider", "cpu"], f"{CUDA}, unverified"),
        (["tensorrt", "cuda"], TENSORRT),
        (["cpu", "cuda"], "torch cpu"),
        (["cuda"], "torch cuda"),
    ],
)
def test_what_was_asked_for_and_is_used_is_no_warning(asked, used):
    assert absent_provider(asked, used, "fused.providers") == ""


def test_what_to_install_follows_from_what_is_there(monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["Azure", CPU])
    said = absent_provider(["cuda", "cpu"], CPU, "fused.providers")
    assert said.startswith(f"fused.providers asks for cuda, cpu, and the network runs on {CPU}")
    assert f"here has {CPU}. Fix: pip uninstall onnxruntime && pip install onnxruntime-gpu," in said
    assert said.endswith("fused.providers: [cpu]")
    assert "onnxruntime-gpu tensorrt" in absent_provider(["tensorrt"], CPU, "p")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    present = absent_provider(["cuda"], CPU, "relative.providers")
    assert "its libraries did not load, or there is no GPU" in present and "nvidia-smi" in present
    assert "install PyTorch with CUDA" in absent_provider(["cuda"], "torch cpu", "fused.providers")


@pytest.mark.parametrize("verb", ["replay", "evaluate"])
@pytest.mark.parametrize("name", ["cuda", "tensorrt"])
def test_replay_and_evaluate_say_it_once(verb, name, bag, only_cpu, tmp_path, capsys):
    outputs = ["--output", str(tmp_path / "out")]
    if verb == "evaluate":
        outputs = ["--json", str(tmp_path / "s.json"), "--report", str(tmp_path / "report")]
    chosen = ["--set", f"fused.providers=[{name}, cpu]", "--set", "fused.width=128"]
    assert main([verb, bag, *outputs, *chosen]) == 0
    captured = capsys.readouterr()
    warning = f"fused.providers asks for {name}, cpu, and the network runs on {CPU}"
    said = captured.out + captured.err
    assert said.count(warning) == 1 and f"warning: {warning}" in captured.err
    if verb == "evaluate":
        scores = json.loads((tmp_path / "s.json").read_text())
        assert scores["provider"] == CPU
        assert sum(warning in note for note in scores["notes"]) == 1
        assert (tmp_path / "report" / "index.html").read_text().count(warning) == 1


def test_the_pipeline_says_it_to_whoever_made_it(only_cpu):
    said = []
    pipeline = SurroundPipeline(from_flat({"fused.providers": ["cuda"]}), log=said.append)
    pipeline.close()
    assert len(said) == 1 and said == pipeline.warnings and "fused.providers asks for" in said[0]
    said.clear()
    SurroundPipeline(from_flat({"fused.providers": ["cpu"]}), log=said.append).close()
    SurroundPipeline(from_flat({}), log=said.append).close()
    assert said == []


def test_inspect_notes_it(bag, only_cpu, capsys):
    assert main(["inspect", bag, "--set", "fused.providers=[cuda]", "--json", "-"]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert sum("fused.providers asks for cuda" in note for note in notes) == 1

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

"""Sessions: fixed axes, bound memory, and the truth about the device."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny_fused
from tiny_onnx import write_model

from depth_perception.errors import ConfigurationError, ModelError
from depth_perception.inference import tensorrt
from depth_perception.inference.onnx_session import CPU, OnnxSession, build_only
from depth_perception.parameters import from_flat

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"


@pytest.fixture
def colours(tmp_path):
    """A model whose outputs are the image's channels, of any size."""
    return write_model(tmp_path / "m.onnx", {"scores": np.eye(3).tolist()}, ("height", "width"))


def image(height=4, width=6):
    return np.random.default_rng(0).random((1, 3, height, width), np.float32)


def test_named_axes_are_fixed_when_the_model_is_loaded(colours):
    assert OnnxSession(colours).inputs[0].shape == (1, 3, None, None)
    session = OnnxSession(colours, axes={"height": 4, "width": 6})
    assert session.inputs[0].shape == (1, 3, 4, 6)
    np.testing.assert_allclose(session.run({"image": image()})[0], image(), rtol=1e-6)
    with pytest.raises(ModelError, match="failed on"):
        session.run({"image": image(5)})


def test_bound_memory_is_read_and_written_in_place(colours):
    session = OnnxSession(colours, axes={"height": 4, "width": 6})
    bound = session.bind({"scores": (1, 3, 4, 6)})
    assert (bound.provider, bound.device) == (CPU, "cpu")
    buffer = bound.buffer("image")
    buffer[...] = image()
    first = bound.run()["scores"]
    np.testing.assert_allclose(first, image(), rtol=1e-6)
    buffer[...] = 2 * image()
    second = bound.run()["scores"]
    np.testing.assert_allclose(second, 2 * image(), rtol=1e-6)
    assert np.shares_memory(first, second)
    bound.set("image", np.ones((1, 3, 4, 6), np.float32))
    assert (bound.run()["scores"] == 1).all()
    bound.close()
    bound.close()


def test_slots_run_each_by_itself_in_place_of_all(tmp_path):
    model = write_model(tmp_path / "m.onnx", {"scores": np.eye(3).tolist()}, ("h", "w"), count="n")
    session = OnnxSession(model, axes={"n": 1, "h": 4, "w": 6}, threads=1)
    shapes = {"image": (3, 3, 4, 6), "scores": (3, 3, 4, 6)}
    slots = session.bind_slots(shapes)
    assert slots.separate and slots.inputs == ("image",) and slots.provider == CPU
    rng = np.random.default_rng(1)
    given = rng.random((3, 3, 4, 6), np.float32)
    slots.set("image", given)
    scores = slots.run(1)["scores"]
    np.testing.assert_allclose(scores[1], given[1], rtol=1e-6)
    assert not scores[0].any() and not scores[2].any(), "the others were left alone"
    slots.buffer("image")[1] = 0
    again = slots.run()["scores"]
    assert np.shares_memory(scores, again)
    np.testing.assert_allclose(again[[0, 2]], given[[0, 2]], rtol=1e-6)
    assert not again[1].any()
    with ThreadPoolExecutor(3) as pool:
        slots.set("image", 2 * given)
        list(pool.map(slots.run, range(3)))
    np.testing.assert_allclose(slots.run(0)["scores"], 2 * given, rtol=1e-6)
    slots.close()


def test_shapes_that_do_not_fit_the_model_are_refused(colours):
    session = OnnxSession(colours, axes={"height": 4, "width": 6})
    with pytest.raises(ModelError, match="scores is to have the shape"):
        session.bind({"scores": (1, 3)})
    with pytest.raises(ModelError, match=r"image is to have the shape \[1, 3, 5, 6\]"):
        session.bind({"image": (1, 3, 5, 6)})


def test_what_each_provider_was_given_is_known(colours):
    session = OnnxSession(colours)
    assert session.provider == CPU
    if hasattr(session._session, "get_provider_graph_assignment_info"):
        assert session.assigned == {CPU: 1}


def pretend(
    monkeypatch, given: dict[str, list[str]], listed: list[str], tells: bool = True
) -> list[Any]:
    """Let ONNX Runtime have GPUs, and give parts of the graph to providers.

    Returns:
        Of each session: its providers, their settings, what else it was told, and itself.
    """
    calls: list[Any] = []

    class Options:
        def __init__(self):
            self.entries = {}

        def add_session_config_entry(self, key, value):
            self.entries[key] = value

        def add_free_dimension_override_by_name(self, name, size): ...

    class Session:
        def __init__(self, path, options, providers, settings):
            self.may_fall_back = True
            calls.append((providers, settings, options.entries, self))

        def disable_fallback(self):
            self.may_fall_back = False

        def get_providers(self):
            return listed

        def get_inputs(self):
            return []

        get_outputs = get_inputs

    def assignment(self):
        return [
            SimpleNamespace(
                ep_name=name,
                get_nodes=lambda kinds=kinds: [SimpleNamespace(op_type=k) for k in kinds],
            )
            for name, kinds in given.items()
        ]

    if tells:
        Session.get_provider_graph_assignment_info = assignment
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(onnxruntime, "SessionOptions", Options)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CUDA, CPU])
    return calls


def test_a_provider_that_was_given_nothing_is_not_in_use(monkeypatch, colours):
    pretend(monkeypatch, {CPU: ["Conv"]}, [CUDA, CPU])
    assert OnnxSession(colours, ["cuda"]).provider == CPU
    with pytest.raises(ModelError, match=r"runs on CPUExecutionProvider.*require_gpu"):
        OnnxSession(colours, ["cuda"], require_gpu=True)


def test_require_gpu_refuses_a_layer_on_the_cpu_but_not_arithmetic_of_shapes(monkeypatch, colours):
    pretend(monkeypatch, {CUDA: ["Conv"], CPU: ["Conv", "Shape"]}, [CUDA, CPU])
    assert OnnxSession(colours, ["cuda"]).provider == CUDA
    with pytest.raises(ModelError, match="but for Conv, on CPUExecutionProvider"):
        OnnxSession(colours, ["cuda"], require_gpu=True)
    pretend(monkeypatch, {CUDA: ["Conv"], CPU: ["Shape"]}, [CUDA, CPU])
    assert OnnxSession(colours, ["cuda"], require_gpu=True).assigned == {CUDA: 1, CPU: 1}


def test_require_gpu_refuses_a_machine_without_one(colours):
    with pytest.raises(ModelError, match=r"runs on CPUExecutionProvider.*onnxruntime-gpu"):
        OnnxSession(colours, ["cuda", "cpu"], require_gpu=True)
    with pytest.raises(ConfigurationError, match="'cuda'"):
        OnnxSession(colours, ["cude"])


def test_onnx_runtime_may_not_start_over_on_the_cpu(monkeypatch, colours):
    calls = pretend(monkeypatch, {CUDA: ["Conv"]}, [CUDA, CPU])
    OnnxSession(colours, ["cuda"])
    assert not calls[0][3].may_fall_back


def test_an_older_onnx_runtime_refuses_the_cpu_itself(monkeypatch, colours):
    calls = pretend(monkeypatch, {}, [CUDA], tells=False)
    sure = OnnxSession(colours, ["cuda", "cpu"], require_gpu=True)
    assert (sure.provider, sure.reported, sure.assigned) == (CUDA, CUDA, {})
    providers, _, entries, _ = calls.pop()
    assert providers == [CUDA] and entries["session.disable_cpu_ep_fallback"] == "1"
    unsure = OnnxSession(colours, ["cuda", "cpu"])
    assert (unsure.provider, unsure.reported) == (CUDA, f"{CUDA}, unverified")
    assert calls[0][0] == [CUDA, CPU]
    assert "session.disable_cpu_ep_fallback" not in calls[0][2]
    pretend(monkeypatch, {}, [CPU], tells=False)
    assert OnnxSession(colours, ["cpu"]).reported == CPU
    with pytest.raises(ModelError, match="require_gpu"):
        OnnxSession(colours, ["cuda"], require_gpu=True)


def labelled(path: Path, precision: str) -> Path:
    """Write behind a model what precision it is in, as `network.export` does."""
    pytest.importorskip("onnx", reason="onnx writes metadata")
    import onnx

    tail = onnx.ModelProto()
    tail.metadata_props.add(key="depth_perception.precision", value=precision)
    target = path.with_name(f"{precision}.onnx")
    target.write_bytes(path.read_bytes() + tail.SerializeToString())
    return target


def test_engines_are_kept_in_the_cache(monkeypatch, colours, tmp_path):
    calls = pretend(monkeypatch, {TENSORRT: ["TRTKernel"]}, [TENSORRT, CPU])
    folder = build_only(colours, {"height": 4}, tmp_path / "engines")
    ((providers, settings, _, _),) = calls
    assert providers == [TENSORRT, CPU]
    assert folder.parent == tmp_path / "engines" and folder.is_dir()
    assert settings[0]["trt_engine_cache_path"] == str(folder)
    assert settings[0]["trt_engine_cache_enable"] == "1"
    assert settings[0]["trt_timing_cache_path"] == str(tmp_path / "engines")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"tensorrt_cache"):
        OnnxSession(colours, ["tensorrt"], cache=tmp_path / "file" / "engines")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert str(tensorrt.default_cache()) == "/cache/depth_perception/tensorrt"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert OnnxSession(colours, ["tensorrt"], cache="~/at_home").engines.startswith(
        str(tmp_path / "at_home")
    )


def test_an_engine_serves_the_same_model_size_and_version_only(monkeypatch, colours, tmp_path):
    import onnxruntime

    pretend(monkeypatch, {TENSORRT: ["TRTKernel"]}, [TENSORRT, CPU])

    def engines(path=colours, axes=None) -> str:
        return OnnxSession(path, ["tensorrt"], axes=axes, cache=tmp_path / "engines").engines

    first = engines()
    assert engines() == first == engines(axes={})
    other = engines(axes={"height": 4}), engines(axes={"height": 5})
    again = write_model(
        tmp_path / "n.onnx", {"scores": (2 * np.eye(3)).tolist()}, ("height", "width")
    )
    found = {first, *other, engines(again), engines(labelled(colours, "fp16"))}
    monkeypatch.setattr(onnxruntime, "__version__", "0.0")
    assert len(found | {engines()}) == 6


def test_tensorrt_has_16_bits_of_files_in_fp16_and_refuses_int8(monkeypatch, colours):
    calls = pretend(monkeypatch, {TENSORRT: ["TRTKernel"]}, [TENSORRT, CPU])
    for path, allowed in ((colours, "0"), (labelled(colours, "fp32"), "0")):
        OnnxSession(path, ["tensorrt"])
        assert calls.pop()[1][0]["trt_fp16_enable"] == allowed
    OnnxSession(labelled(colours, "fp16"), ["tensorrt"])
    assert calls.pop()[1][0]["trt_fp16_enable"] == "1"
    int8 = labelled(colours, "int8")
    with pytest.raises(ModelError, match=r"int8.*export WEIGHTS -o FILE --precision fp16"):
        OnnxSession(int8, ["tensorrt", "cuda"])
    assert OnnxSession(int8, ["cuda"]).engines == ""


def test_the_fused_network_is_not_tried_on_tensorrt(monkeypatch, tmp_path):
    from depth_perception.estimators import fused_model
    from depth_perception.estimators.fused import FusedEstimator

    asked = []

    class Session(OnnxSession):
        def __init__(self, path, providers, *arguments, **named):
            asked.append(list(providers))
            super().__init__(path, ["cpu"], *arguments, **named)

    monkeypatch.setattr(fused_model, "OnnxSession", Session)
    path = tiny_fused.model(tmp_path / "m.onnx", tiny_fused.network())
    flat = {"estimator": "fused", "fused.model": str(path)}
    wanted = ["tensorrt", "CUDAExecutionProvider", "cpu"]
    made = FusedEstimator(from_flat({**flat, "fused.providers": wanted}), None)
    made.close()
    assert asked == [[CUDA, CUDA, CPU]]
    int8 = tiny_fused.model(tmp_path / "int8.onnx", tiny_fused.network(), "int8")
    monkeypatch.setattr(fused_model, "usable_providers", lambda names: names)
    with pytest.raises(ModelError, match="--precision fp16"):
        FusedEstimator(
            from_flat({**flat, "fused.model": str(int8), "fused.providers": ["tensorrt"]}), None
        )


def test_build_only_says_when_there_is_no_tensorrt(colours, tmp_path):
    with pytest.raises(ModelError, match="runs on CPUExecutionProvider"):
        build_only(colours, {"height": 4, "width": 4}, tmp_path)


def test_pytorch_runs_a_checkpoint_as_onnx_runtime_runs_its_file(tmp_path):
    network = tiny_fused.network()
    from depth_perception.estimators.torch_session import TorchSession
    from depth_perception.network.checkpoint import save_checkpoint
    from depth_perception.network.export import ExportOptions, example_feed
    from depth_perception.network.export_check import axes_of

    feed = example_feed(ExportOptions(cameras=2, image=(60, 96), network=(64, 96)))
    save_checkpoint(tmp_path / "weights.pt", network, {})
    shapes = {name: value.shape for name, value in feed.items()}
    checkpoint = TorchSession(tmp_path / "weights.pt", shapes, device="cpu")
    assert checkpoint.provider == "torch cpu"
    session = OnnxSession(tiny_fused.model(tmp_path / "m.onnx", network), axes=axes_of(feed))
    bound = session.bind({"depth": (2, 60, 96), "confidence": (2, 16, 24), "road": (2, 16, 24)})
    found = []
    for runs in (checkpoint, bound):
        runs.set("rays", feed["rays"])
        runs.set("camera", feed["camera"])
        runs.buffer("image")[...] = feed["image"]
        found.append({name: value.copy() for name, value in runs.run().items()})
        runs.close()
    for name in ("depth", "confidence", "road"):
        # What is near the edge of a decision may fall to either side.
        same = np.isclose(found[0][name], found[1][name], rtol=2e-3, atol=2e-3)
        assert same.mean() > 0.99
    with pytest.raises(ModelError, match="require_gpu"):
        TorchSession(tmp_path / "weights.pt", shapes, device="cpu", require_gpu=True)


def test_a_checkpoint_runs_on_the_first_provider_that_pytorch_has(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch", reason="PyTorch runs checkpoints")
    from depth_perception.estimators.torch_session import device_of

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_of([]) == device_of(["tensorrt", "cuda", "cpu"]) == "cuda"
    assert device_of(["cpu", "cuda"]) == device_of(["CPUExecutionProvider"]) == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of([]) == device_of(["cuda"]) == device_of(["cuda", "cpu"]) == "cpu"
    with pytest.raises(ConfigurationError, match="'cuda'"):
        device_of(["cude"])

    from depth_perception.estimators.fused import FusedEstimator
    from depth_perception.network.checkpoint import save_checkpoint

    save_checkpoint(tmp_path / "weights.pt", tiny_fused.network(), {})
    settings = {"estimator": "fused", "fused.model": str(tmp_path / "weights.pt")}
    with pytest.raises(ConfigurationError, match="'cuda'"):
        FusedEstimator(from_flat({**settings, "fused.providers": ["cude"]}), None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    made = FusedEstimator(from_flat({**settings, "fused.providers": ["cpu", "cuda"]}), None)
    assert made.provider == "torch cpu"
    made.close()


def test_a_device_without_memory_is_told_in_one_line(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch runs checkpoints")
    from depth_perception.estimators.torch_session import TorchSession
    from depth_perception.network.checkpoint import save_checkpoint

    save_checkpoint(tmp_path / "weights.pt", tiny_fused.network(), {})
    shapes = {"image": (1, 32, 32, 3), "rays": (1, 3, 8, 8), "camera": (1, 5)}
    session = TorchSession(tmp_path / "weights.pt", shapes, device="cpu")

    def full(*inputs):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")

    session._model = full
    with pytest.raises(ModelError, match=r"failed on torch cpu \(CUDA out of memory\.\)"):
        session.run()
    session.close()
    with pytest.raises(ModelError, match="failed on torch cpu"):
        TorchSession(
            tmp_path / "weights.pt", {**shapes, "image": (1, 2**30, 2**30, 3)}, device="cpu"
        )


def test_a_checkpoint_without_pytorch_says_what_to_do(monkeypatch, tmp_path):
    from depth_perception.estimators.torch_session import TorchSession

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModelError, match="depth_perception export"):
        TorchSession(tmp_path / "weights.pt", {})

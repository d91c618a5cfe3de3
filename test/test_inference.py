"""Sessions: fixed axes, bound memory, and the truth about the device."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny_fused
from tiny_onnx import write_model

from depth_perception.errors import ConfigurationError, ModelError
from depth_perception.inference import onnx_session
from depth_perception.inference.onnx_session import CPU, OnnxSession, build_only

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


def pretend(monkeypatch, given: dict[str, list[str]], listed: list[str]) -> list[Any]:
    """Let ONNX Runtime have GPUs, and give parts of the graph to providers; returns the calls."""
    calls: list[Any] = []

    class Session:
        def __init__(self, path, options, providers, settings):
            calls.append((providers, settings))

        def get_providers(self):
            return listed

        def get_provider_graph_assignment_info(self):
            return [
                SimpleNamespace(
                    ep_name=name,
                    get_nodes=lambda kinds=kinds: [SimpleNamespace(op_type=k) for k in kinds],
                )
                for name, kinds in given.items()
            ]

        def get_inputs(self):
            return []

        get_outputs = get_inputs

    import onnxruntime

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
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


def test_engines_are_kept_in_the_cache(monkeypatch, colours, tmp_path):
    calls = pretend(monkeypatch, {TENSORRT: ["TRTKernel"]}, [TENSORRT, CPU])
    assert build_only(colours, {"height": 4}, tmp_path / "engines") == tmp_path / "engines"
    ((providers, settings),) = calls
    assert providers == [TENSORRT, CPU]
    assert settings[0]["trt_engine_cache_path"] == str(tmp_path / "engines")
    assert settings[0]["trt_engine_cache_enable"] == settings[0]["trt_fp16_enable"] == "1"
    assert (tmp_path / "engines").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"tensorrt_cache"):
        OnnxSession(colours, ["tensorrt"], cache=tmp_path / "file" / "engines")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert str(onnx_session.default_cache()) == "/cache/depth_perception/tensorrt"


def test_build_only_says_when_there_is_no_tensorrt(colours, tmp_path):
    with pytest.raises(ModelError, match="runs on CPUExecutionProvider"):
        build_only(colours, {"height": 4, "width": 4}, tmp_path)


def test_pytorch_runs_a_checkpoint_as_onnx_runtime_runs_its_file(tmp_path):
    network = tiny_fused.network()
    from depth_perception.inference.torch_session import TorchSession
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


def test_a_checkpoint_without_pytorch_says_what_to_do(monkeypatch, tmp_path):
    from depth_perception.inference.torch_session import TorchSession

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModelError, match="depth_perception export"):
        TorchSession(tmp_path / "weights.pt", {})

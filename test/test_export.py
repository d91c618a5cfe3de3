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

"""Model files: they agree with PyTorch in every precision, and say what they are."""

from __future__ import annotations

import dataclasses
import errno
from pathlib import Path

import numpy as np
import pytest
import tiny_fused

from depth_perception.cli.main import main
from depth_perception.errors import ConfigurationError, ModelError
from depth_perception.inference.model_file import INPUTS, PREFIX, read_fused_model, read_model_file
from depth_perception.inference.onnx_session import OnnxSession

torch = pytest.importorskip("torch", reason="PyTorch makes the networks")
onnx = pytest.importorskip("onnx", reason="onnx writes the model files")

from depth_perception.network import deployed  # noqa: E402
from depth_perception.network.checkpoint import save_checkpoint  # noqa: E402
from depth_perception.network.deployed import DeployedSurround  # noqa: E402
from depth_perception.network.export import ExportOptions, example_feed, weights_hash  # noqa: E402
from depth_perception.network.export_check import axes_of, check  # noqa: E402

SMALL = ExportOptions(cameras=2, image=(60, 96), network=(64, 96))


@pytest.fixture(scope="module")
def network():
    return tiny_fused.network(temperature=2.0)


@pytest.fixture(scope="module")
def files(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {p: tiny_fused.model(folder / f"{p}.onnx", network, p) for p in ("fp32", "fp16", "int8")}


def test_deployed_is_the_network_in_other_words(network):
    feed = example_feed(dataclasses.replace(SMALL, image=SMALL.network))
    image, rays, camera = (torch.from_numpy(feed[name]) for name in INPUTS)
    with torch.inference_mode():
        plain = network(image.flip(3).permute(0, 3, 1, 2), rays, camera)
        depth, confidence, road = DeployedSurround(network, at_image=False)(image, rays, camera)
    assert plain.log_depth.std() > 0.1

    def wide(x):
        return torch.nn.functional.interpolate(x, SMALL.network, mode="bilinear")[:, 0]

    beyond = (wide(plain.sky) > 0) | (wide(plain.log_depth) > np.log(200))
    assert 0.1 < beyond.float().mean() < 0.9
    # What is near the edge of a decision may fall to either side.
    expected = torch.where(beyond, torch.inf, torch.exp(wide(plain.log_depth)))
    assert torch.isclose(depth, expected, rtol=1e-3).float().mean() > 0.99
    sigma = torch.exp(plain.confidence[:, 0])
    assert torch.allclose(confidence, 1 - torch.exp(-0.1 / sigma), atol=1e-5)
    assert torch.allclose(road, torch.sigmoid(plain.road[:, 0]), atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("image", [(64, 96), (60, 96), (200, 320)])
def test_files_agree_with_pytorch_at_any_size(network, files, precision, image):
    options = dataclasses.replace(SMALL, precision=precision, image=image)
    result = check(network, files[precision], options, [example_feed(options, 1)])
    limit = 1e-3 if precision == "fp32" else 0.2
    assert result["largest relative difference of depth"] < limit
    assert result["median relative difference of depth"] < 1e-2
    assert result["share of pixels beyond the range in one only"] < 0.01


def test_one_file_serves_any_number_of_cameras_and_size(network, files):
    for cameras, size in ((1, (32, 64)), (3, (96, 64))):
        options = dataclasses.replace(SMALL, cameras=cameras, image=size, network=size)
        assert check(network, files["fp32"], options, [example_feed(options)])


def test_int8_is_near_and_smaller(network, files):
    result = check(
        network, files["int8"], dataclasses.replace(SMALL, precision="int8"), [example_feed(SMALL)]
    )
    assert result["median relative difference of depth"] < 0.1
    assert files["int8"].stat().st_size < 0.6 * files["fp32"].stat().st_size
    kinds = [node.op_type for node in onnx.load(files["int8"]).graph.node]
    assert kinds.count("QuantizeLinear") > 50
    assert {i.name: i.type.tensor_type.elem_type for i in onnx.load(files["int8"]).graph.input} == {
        "image": onnx.TensorProto.UINT8,
        "rays": onnx.TensorProto.FLOAT,
        "camera": onnx.TensorProto.FLOAT,
    }


def test_int8_wants_calibration(network, tmp_path):
    from depth_perception.network.export import export_model

    with pytest.raises(ConfigurationError, match="calibration"):
        export_model(network, {}, tmp_path / "a.onnx", ExportOptions("int8"))


def test_a_static_file_has_no_open_axis(network, tmp_path):
    options = dataclasses.replace(SMALL, static=True)
    path = tiny_fused.model(
        tmp_path / "static.onnx", network, static=True, cameras=2, image=(60, 96), network=(64, 96)
    )
    session = OnnxSession(path)
    assert [t.shape for t in (*session.inputs, *session.outputs)] == [
        (2, 60, 96, 3),
        (2, 3, 16, 24),
        (2, 5),
        (2, 60, 96),
        (2, 16, 24),
        (2, 16, 24),
    ]
    assert check(network, path, options, [example_feed(options)])
    info = read_fused_model(path)
    assert (info.cameras, info.height, info.width) == (2, 60, 96)
    assert info.network == (96, 64)


def test_opset_and_operators_are_plain(files):
    model = onnx.load(files["fp32"])
    assert {item.domain: item.version for item in model.opset_import} == {"": 17}
    assert not {"GridSample", "Loop", "If", "Einsum"} & {n.op_type for n in model.graph.node}


def test_fixed_axes_leave_no_shape_to_compute(files, tmp_path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(tmp_path / "folded.onnx")
    for name, size in axes_of(example_feed(SMALL)).items():
        options.add_free_dimension_override_by_name(name, size)
    onnxruntime.InferenceSession(str(files["fp32"]), options, ["CPUExecutionProvider"])
    kinds = {node.op_type for node in onnx.load(tmp_path / "folded.onnx").graph.node}
    assert not kinds & {"Shape", "ConstantOfShape", "Range"}


def test_the_file_says_what_it_is(network, files):
    info = read_fused_model(files["int8"])
    assert (info.size, info.precision, info.output) == ("other", "int8", "depth")
    assert info.weights_hash == weights_hash(network)
    assert dict(info.facts) == {"commit": "abc", "step": 3}
    assert info.farthest == 200.0
    metadata = OnnxSession(files["int8"])._session.get_modelmeta().custom_metadata_map
    assert metadata == read_model_file(files["int8"]).metadata
    assert '"rays": ["cameras", 3, "rows", "columns"]' in metadata[PREFIX + "inputs"]


def changed(path: Path, target: Path, change) -> Path:
    model = onnx.load(path)
    change(model)
    target.write_bytes(model.SerializeToString())
    return target


def entry(model, name):
    return next(item for item in model.metadata_props if item.key == PREFIX + name)


def other_weights(model):
    weights = max(model.graph.initializer, key=lambda item: len(item.raw_data))
    weights.raw_data = bytes(len(weights.raw_data))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_weights, "was changed after it was exported"),
        (lambda m: setattr(entry(m, "version"), "value", "7"), "version 7"),
        (lambda m: setattr(entry(m, "format"), "value", "x"), "has the format 'x'"),
        (lambda m: m.metadata_props.remove(entry(m, "size")), "incomplete"),
        (lambda m: m.ClearField("metadata_props"), "is not the fused network"),
    ],
)
def test_a_file_that_is_not_as_exported_is_refused(files, tmp_path, change, said):
    with pytest.raises(ModelError, match=said):
        read_fused_model(changed(files["fp32"], tmp_path / "changed.onnx", change))


def test_damaged_and_absent_files_are_refused(files, tmp_path):
    path = tmp_path / "a.onnx"
    with pytest.raises(ModelError, match="cannot be read"):
        read_fused_model(path)
    content = files["fp32"].read_bytes()
    # Graph and metadata that are numbers, and an entry's key that is one, and a large one.
    kinds = (b"\x38\x01", b"\x70\x01", b"\x72\x06\x08\xff\xff\xff\xff\x7f", b"\x3d\0\0\0\0")
    cut = content[: len(content) // 2]
    for damaged in (b"", b"no model at all", cut, b"\xff" * 64, *kinds):
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match=r"no ONNX model|is not the fused"):
            read_fused_model(path)


def test_the_verb_exports_checks_and_explains(network, tmp_path, capsys):
    save_checkpoint(tmp_path / "weights.pt", network, {"commit": "abc"})
    arguments = [str(tmp_path / "weights.pt"), "-o", str(tmp_path / "m.onnx"), "--cameras", "1"]
    assert main(["export", *arguments, "--size", "96x64"]) == 0
    assert "median relative difference" in capsys.readouterr().out
    assert read_fused_model(tmp_path / "m.onnx").facts == {"commit": "abc"}
    assert main(["export", *arguments, "--size", "90x64"]) == 1
    assert "multiples of 32" in capsys.readouterr().err
    assert main(["export", *arguments, "--size", "wide"]) == 1
    assert main(["export", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "n.onnx")]) == 1
    assert "cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "n.onnx").exists()


def test_an_output_that_cannot_be_written_is_refused_before_the_work(network, tmp_path, capsys):
    save_checkpoint(tmp_path / "weights.pt", network, {})
    for output, reason in (
        (tmp_path / "weights.pt" / "m.onnx", "which is a file"),
        (tmp_path, "is a folder"),
    ):
        assert main(["export", str(tmp_path / "weights.pt"), "-o", str(output)]) == 1
        assert reason in capsys.readouterr().err
    from depth_perception.network.export import export_model

    with pytest.raises(ConfigurationError, match="cannot be written"):
        export_model(network, {}, tmp_path / "absent" / "m.onnx")


def test_a_disk_that_fills_up_is_an_error_with_the_files_name(network, tmp_path, monkeypatch):
    from depth_perception.network.export import export_model

    def full(self, data):
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ConfigurationError, match=r"m\.onnx' cannot be written \(No space left"):
        export_model(network, {}, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sizes", [{"network": (0, 64)}, {"image": (0, 5)}, {"cameras": 0}])
def test_sizes_of_nothing_are_refused(sizes):
    with pytest.raises(ConfigurationError, match="multiples of 32"):
        ExportOptions(**sizes)


def test_an_engine_is_built_for_what_the_node_computes(files, monkeypatch, capsys, tmp_path):
    from depth_perception.inference import onnx_session

    built = []
    monkeypatch.setattr(
        onnx_session, "build_only", lambda path, axes, cache: built.append(axes) or tmp_path
    )
    model = str(files["fp16"])
    assert main(["export", model, "--build-only", "--cameras", "5"]) == 0
    assert "5 cameras, images 640x352, network 512x288" in capsys.readouterr().out
    assert built.pop() == {
        "cameras": 5,
        "image_height": 352,
        "image_width": 640,
        "rows": 72,
        "columns": 128,
    }
    wide = ["--image", "640x352", "--width", "640"]
    assert main(["export", model, "--build-only", *wide]) == 0
    assert (built[0]["rows"], built.pop()["columns"]) == (88, 160)
    assert main(["export", model, "--build-only", "--size", "96x64"]) == 0
    assert (built[0]["rows"], built.pop()["columns"]) == (16, 24)
    for wrong in (["--size", "90x64"], ["--image", "0x0"], ["--size", "0x0"], ["--cameras", "0"]):
        assert main(["export", model, "--build-only", *wrong]) == 1
        assert "multiples of 32" in capsys.readouterr().err
    assert not built


@pytest.mark.parametrize("what", ["depth", "confidence", "road"])
def test_a_file_that_gives_no_numbers_is_refused(network, files, monkeypatch, what):
    run = OnnxSession.run

    def broken(self, inputs, outputs=None):
        found = run(self, inputs, outputs)
        found[outputs.index(what)][0, 3, 3] = np.nan
        return found

    monkeypatch.setattr(OnnxSession, "run", broken)
    with pytest.raises(ModelError, match=f"gives NaN for .* of {what}"):
        check(network, files["fp32"], SMALL, [example_feed(SMALL)])


def test_a_file_without_any_depth_is_compared_too(network, files, monkeypatch):
    run = OnnxSession.run

    def nothing(self, inputs, outputs=None):
        found = run(self, inputs, outputs)
        found[0][...] = np.inf
        return found

    monkeypatch.setattr(OnnxSession, "run", nothing)
    with pytest.raises(ModelError, match="only where the network"):
        check(network, files["fp32"], SMALL, [example_feed(SMALL)])
    nowhere = dataclasses.replace(SMALL, farthest=1e-6)  # PyTorch's is beyond it everywhere
    result = check(network, files["fp32"], nowhere, [example_feed(SMALL)])
    assert result["largest relative difference of depth"] == 0


def test_the_mean_over_bins_is_softmaxes(network):
    torch.manual_seed(0)
    centres = torch.linspace(0, 5.3, 32).expand(2, 32)
    for spread in (1.0, 10.0, 300.0):
        logits = spread * torch.randn(2, 32, 4, 6)
        expected = (torch.softmax(logits, 1) * centres[:, :, None, None]).sum(1, keepdim=True)
        found = deployed._narrow_expectation(logits, centres)[1]
        assert torch.allclose(found, expected, atol=1e-4)
        if spread < 5:
            assert torch.allclose(deployed._expectation(logits, centres)[1], expected, atol=1e-4)
        half = deployed._narrow_expectation(logits.half(), centres.half())[1]
        exact = (torch.softmax(logits.half().double(), 1) * centres[:, :, None, None]).sum(1, True)
        assert torch.isfinite(half).all() and torch.allclose(half.double(), exact, atol=0.02)
    assert DeployedSurround(network, half=True).network.expectation is deployed._narrow_expectation
    assert DeployedSurround(network).network.expectation is deployed._expectation


def test_only_files_in_fp16_pay_for_the_safe_mean(files):
    kinds = {p: {n.op_type for n in onnx.load(file).graph.node} for p, file in files.items()}
    assert {p for p, names in kinds.items() if "ReduceMax" in names} == {"fp16"}


def test_rays_that_are_no_numbers_count_as_none(network):
    feed = example_feed(SMALL)
    module = DeployedSurround(network)
    image, rays, camera = (torch.from_numpy(feed[name]) for name in INPUTS)
    none, absent = rays.clone(), rays.clone()
    none[:, :, :4], absent[:, :, :4] = float("nan"), 0.0
    with torch.inference_mode():
        found, expected = module(image, none, camera), module(image, absent, camera)
    for a, b in zip(found, expected, strict=True):
        assert not torch.isnan(a).any()
        np.testing.assert_array_equal(a, b)


def test_without_calibration_the_image_alone_decides(network, files):
    feed = example_feed(SMALL, 2)
    feed["camera"][:, :4] = 0
    assert check(network, files["fp32"], SMALL, [feed])
    session = OnnxSession(files["fp32"], axes=axes_of(feed))
    first = session.run(feed)
    other = session.run({**feed, "rays": feed["rays"] * np.float32(1.5)})
    for a, b in zip(first, other, strict=True):
        assert not np.isnan(a).any()
        np.testing.assert_array_equal(a, b)

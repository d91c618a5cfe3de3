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

"""Foundation models: loading them, what they give, and that they stay as they are."""

from __future__ import annotations

import copy
import http.server
import json
import socket
import string
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch runs them")
pytest.importorskip("transformers", reason="foundation models come with it")

import torch
import transformers
from torch import nn

from depth_perception.errors import ConfigurationError, ModelError
from depth_perception.training import foundation
from depth_perception.training.foundation import loading, pictures, tiny
from depth_perception.training.foundation.depth import DepthModel
from depth_perception.training.foundation.factory import maker

ENCODERS = {"tiny-clip": (48, 16), "tiny-dinov2": (32, 14), "tiny-sam": (64, 16)}


def _images(height: int = 96, width: int = 128, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    small = torch.rand(count, 3, 6, 8, generator=generator) * 255
    return nn.functional.interpolate(small, (height, width), mode="bilinear").to(torch.uint8)


def _normalised(images: torch.Tensor, how: pictures.ImagePreprocessing) -> torch.Tensor:
    return pictures.normalised(images, torch.tensor(how.mean), torch.tensor(how.std))


# Images.


def test_normalisation_by_hand():
    how = pictures.ImagePreprocessing((0.5, 0.25, 0.0), (0.5, 0.25, 1.0), 224)
    image = torch.tensor([255, 0, 51], dtype=torch.uint8).view(1, 3, 1, 1)
    assert _normalised(image, how).flatten().tolist() == pytest.approx([1.0, -1.0, 0.2])
    with pytest.raises(ConfigurationError, match=r"\(3, 8, 8\)"):
        _normalised(torch.zeros(3, 8, 8), how)


@pytest.mark.parametrize(
    ("size", "side"),
    [
        ({"shortest_edge": 256}, 256),
        ({"height": 518, "width": 518}, 518),
        ({"longest_edge": 1024}, 1024),
        (384, 384),
        (None, 224),
    ],
)
def test_a_preprocessor_says_how_a_model_wants_images(size, side):
    mean = [0.1, 0.2, 0.3]
    how = pictures.preprocessing_of({"image_mean": mean, "size": size}, pictures.IMAGENET)
    assert how == pictures.ImagePreprocessing((0.1, 0.2, 0.3), pictures.IMAGENET.std, side)


def test_fitted_sizes_are_the_nearest_multiples():
    images = _images(90, 160)
    assert foundation.fitted(images, 14).shape[-2:] == (84, 154)
    assert foundation.fitted(images, 14, 518).shape[-2:] == (518, 924)
    assert foundation.fitted(images, 16, 4).shape[-2:] == (16, 16)
    same = foundation.fitted(images, 10)
    assert same.dtype == torch.float32 and torch.equal(same, images.float())
    white = torch.full((1, 3, 20, 20), 255, dtype=torch.uint8)
    torch.testing.assert_close(foundation.fitted(white, 14), torch.full((1, 3, 14, 14), 255.0))


@pytest.mark.parametrize("name", ENCODERS)
def test_maps_have_a_token_for_each_patch(name):
    encoder = foundation.image_encoder(name)
    width, patch = ENCODERS[name]
    assert (encoder.width, encoder.patch, encoder.blocks) == (width, patch, 12)
    first, last, again = encoder(foundation.fitted(_images(), patch), (2, 11, -1))
    assert first.shape == last.shape == (2, width, round(96 / patch), round(128 / patch))
    assert torch.equal(last, again) and not torch.equal(first, last)
    with pytest.raises(ConfigurationError, match="129x96"):
        encoder(torch.zeros(1, 3, 96, 129))
    with pytest.raises(ConfigurationError, match="block 12"):
        encoder(torch.zeros(1, 3, patch, patch), (12,))


@pytest.mark.parametrize("name", ENCODERS)
def test_maps_are_those_of_transformers(name):
    """At the size that the model was trained at, where its own code applies."""
    encoder = foundation.image_encoder(name)
    images = _images(*[56 if name == "tiny-dinov2" else 64] * 2)
    how = pictures.CLIP if name == "tiny-clip" else pictures.IMAGENET
    out = encoder.network(_normalised(images, how), output_hidden_states=True)
    for block in (4, 11):
        found = encoder(images, (block,))[0]
        wanted = out.hidden_states[block + 1]
        if name == "tiny-dinov2":
            wanted = encoder.network.layernorm(wanted)
        if name != "tiny-sam":
            wanted = wanted[:, 1:].unflatten(1, found.shape[-2:])
        torch.testing.assert_close(found, wanted.permute(0, 3, 1, 2), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ENCODERS)
def test_positions_tell_equal_patches_apart_at_any_size(name):
    encoder = foundation.image_encoder(name)
    grey = torch.full((1, 3, 3 * encoder.patch, 7 * encoder.patch), 99.0)
    tokens = encoder(grey, (0,))[0].flatten(2)[0].T
    apart = torch.cdist(tokens, tokens) + torch.eye(21)
    assert float(apart.min()) > 1e-3


# Depth.


def test_depth_is_that_of_transformers():
    model = foundation.depth_model("tiny-depth-anything")
    images = _images(56, 56)
    wanted = model.network(_normalised(images, pictures.IMAGENET)).predicted_depth
    assert wanted.std() > 0.01
    torch.testing.assert_close(model(images)[:, 0], wanted, rtol=1e-4, atol=1e-4)


def test_depth_of_any_size_is_decoded_features():
    model = foundation.depth_model("tiny-depth-anything")
    images = _images(60, 100)
    small = foundation.fitted(images, model.patch)
    features = model.features(small)
    assert [f.shape for f in features] == [(2, model.width, 4, 7)] * 4
    found = model(images)
    assert found.shape == (2, 1, 60, 100)
    torch.testing.assert_close(found, model.decode(features, (60, 100)))
    # The decoder answers to its maps, and gradients reach them.
    features[3] = (features[3] * 1.5).requires_grad_(True)
    other = model.decode(features, (60, 100))
    assert not torch.allclose(other, found)
    other.mean().backward()
    assert features[3].grad is not None and features[3].grad.abs().max() > 0


def test_a_metric_model_gives_inverse_metres():
    model = foundation.depth_model("tiny-depth-anything")
    config = copy.deepcopy(model.network.config)
    config.depth_estimation_type, config.max_depth = "metric", 80
    with loading.quiet():
        metric = DepthModel(transformers.DepthAnythingForDepthEstimation(config), pictures.IMAGENET)
    images = _images(56, 56)
    metres = metric.network(_normalised(images, pictures.IMAGENET)).predicted_depth
    assert metric.metric and not model.metric
    torch.testing.assert_close(metric(images)[:, 0], 1 / metres, rtol=1e-4, atol=0)


# Texts.


def test_texts_are_those_of_transformers():
    texts = ["A car on the road.", "near", "it's 12 m away; 30 % of them (#7) <~^|>"]
    encoder = foundation.text_encoder("tiny-clip")
    model = tiny.network("clip")
    found = encoder(texts)
    assert found.shape == (3, encoder.width) == (3, 24)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
    for text, vector in zip(texts, found, strict=True):
        tokens = tiny.tokenizer("clip")(text, return_tensors="pt")
        wanted = model.get_text_features(**tokens).pooler_output[0]
        torch.testing.assert_close(vector, wanted / wanted.norm(), rtol=1e-4, atol=1e-5)
    assert encoder([]).shape == (0, 24)


def test_the_tiny_tokenizer_knows_all_of_ascii():
    words = tiny.tokenizer("clip")
    for letter in string.printable:
        assert words.unk_token_id not in words(f"a{letter}b", add_special_tokens=False)["input_ids"]


def test_a_vector_in_a_prompt_stands_for_its_word():
    encoder = foundation.text_encoder("tiny-clip")
    template = "This patch appears to be {}."
    near, remote = encoder.embed_tokens(["near", "remote"])
    assert near.shape == (4, encoder.token_width) and remote.shape == (6, encoder.token_width)
    found = encoder.encode_embeddings(template, torch.stack([near, remote[:4]]))
    torch.testing.assert_close(found[0], encoder([template.format("near")])[0])
    assert not torch.allclose(found[1], found[0])
    single = encoder.encode_embeddings(template, near)  # four prompts of one vector each
    torch.testing.assert_close(single[2], encoder.encode_embeddings(template, near[2:3])[0])


def test_vectors_in_a_prompt_learn_and_the_encoder_does_not():
    encoder = foundation.text_encoder("tiny-clip").train()
    before = {name: value.clone() for name, value in encoder.named_parameters()}
    tokens = nn.Parameter(torch.randn(3, encoder.token_width) * 0.02)
    target = encoder(["a car", "a tree", "a house"])
    optimizer = torch.optim.Adam([tokens, *encoder.parameters()], lr=0.02)
    alike = []
    for _ in range(30):
        cosine = (encoder.encode_embeddings("It is {}.", tokens) * target).sum(1).mean()
        optimizer.zero_grad()
        (-cosine).backward()
        optimizer.step()
        alike.append(cosine.item())
    assert alike[-1] > alike[0] + 0.1
    assert all(torch.equal(value, before[name]) for name, value in encoder.named_parameters())


def test_prompts_that_do_not_fit():
    encoder = foundation.text_encoder("tiny-clip")
    width = encoder.token_width
    for template in ("no place", "{} and {}"):
        with pytest.raises(ConfigurationError, match="template"):
            encoder.encode_embeddings(template, torch.zeros(1, width))
    with pytest.raises(ConfigurationError, match=r"\(2, 7\)"):
        encoder.encode_embeddings("{}", torch.zeros(2, 7))
    with pytest.raises(ConfigurationError, match="tokens"):
        encoder.encode_embeddings("{}", torch.zeros(1, encoder.longest, width))
    long = "x " * 500
    torch.testing.assert_close(encoder([long]), encoder([long + "y"]))  # cut off


def test_captions_are_texts_and_the_same_every_time():
    captioner = foundation.captioner("tiny-blip")
    images = _images(40, 60, 3)
    found = captioner(images, longest=8)
    assert len(found) == 3 and all(isinstance(text, str) and text for text in found)
    assert foundation.captioner("tiny-blip")(images, longest=8) == found


# Frozen.


class _System(nn.Module):
    def __init__(self, blocks: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.encoder = foundation.image_encoder("tiny-dinov2")
        self.encoder.unfreeze(blocks)
        self.head = nn.Conv2d(32, 1, 1)


def test_frozen_weights_are_in_no_checkpoint_and_in_no_copy():
    system = _System()
    assert set(system.state_dict()) == {"head.weight", "head.bias"}
    assert not any(p.requires_grad for p in system.encoder.parameters())
    assert not any(m.training for m in system.train().encoder.modules())
    other = _System()
    other.load_state_dict(system.state_dict())
    assert torch.equal(other.head.weight, system.head.weight)
    twin = copy.deepcopy(system)
    theirs = dict(twin.encoder.named_parameters())
    assert all(theirs[name] is p for name, p in system.encoder.named_parameters())
    assert twin.head.weight is not system.head.weight
    with pytest.raises(RuntimeError, match=r"head\.bias"):
        other.load_state_dict({"head.weight": system.head.weight})


def test_freed_blocks_learn_are_stored_and_are_copied():
    system = _System((-1,))
    free = {name for name, p in system.named_parameters() if p.requires_grad}
    assert {name.split(".norm")[0].split(".attention")[0] for name in free} >= {
        "encoder.network.encoder.layer.11"
    }
    assert set(system.state_dict()) == free
    assert system.train().encoder.network.encoder.layer[11].training
    assert not system.encoder.network.encoder.layer[10].training
    features = system.encoder(foundation.fitted(_images(), 14), (5, 11))
    assert not features[0].requires_grad
    system.head(features[1]).sum().backward()
    block = system.encoder.network.encoder.layer[11]
    assert all(p.grad is not None for p in block.parameters())
    twin = copy.deepcopy(system)
    with torch.no_grad():
        block.norm1.weight.add_(1.0)
    assert not torch.equal(twin.encoder.network.encoder.layer[11].norm1.weight, block.norm1.weight)
    twin.requires_grad_(False).eval()  # as an average of the weights is
    assert set(twin.state_dict()) == free
    twin.load_state_dict(system.state_dict())
    assert torch.equal(twin.encoder.network.encoder.layer[11].norm1.weight, block.norm1.weight)


def test_parts_of_a_decoder_can_be_freed():
    model = foundation.depth_model("tiny-depth-anything")
    model.unfreeze(blocks=(3,), fusions=(0, -1))
    images = _images(56, 56)
    model(images).mean().backward()
    free = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    assert all(p.grad is not None for _, p in free)  # none is unused, as DDP wants it
    parts = {".".join(name.split(".")[1:5]) for name, _ in free}
    assert parts == {
        "backbone.encoder.layer.3",
        "neck.fusion_stage.layers.0",
        "neck.fusion_stage.layers.3",
    }
    with pytest.raises(ConfigurationError, match="fusion block 4"):
        model.unfreeze(fusions=(4,))


def test_tiny_models_are_the_same_every_time_and_leave_chance_alone():
    torch.manual_seed(1)
    first = foundation.image_encoder("tiny-sam")
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), drawn)
    second = foundation.image_encoder("tiny-sam")
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


# Loading.


def _answer(name: str, model: str) -> list[torch.Tensor]:
    """What the model `name` says, as the tiny one `model` is used."""
    images = _images(56, 56)
    if model == "tiny-blip":
        ids = [ord(c) for text in foundation.captioner(name)(images, longest=6) for c in text]
        return [torch.tensor(ids)]
    if model == "tiny-depth-anything":
        return [foundation.depth_model(name)(images)]
    encoder = foundation.image_encoder(name)
    out = encoder(foundation.fitted(images, encoder.patch), (3, 11))
    if model == "tiny-clip":
        out.append(foundation.text_encoder(name)(["A road.", "Trees on the left"]))
    return out


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The tiny models as folders, as the hub has real ones."""
    root = tmp_path_factory.mktemp("models") / "vendor"
    looks = {"clip": pictures.CLIP, "blip": pictures.CLIP}
    for name, family in foundation.TINY.items():
        tiny.save(name, root / name, looks.get(family, pictures.IMAGENET))
    return {name: root / name for name in foundation.TINY}


@pytest.mark.parametrize("name", foundation.TINY)
def test_a_folder_holds_a_model(name, folders):
    for found, wanted in zip(_answer(str(folders[name]), name), _answer(name, name), strict=True):
        torch.testing.assert_close(found, wanted)


def test_folders_of_models_are_searched_by_a_hub_name(folders, monkeypatch, tmp_path):
    folder = folders["tiny-dinov2"]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for place in (folder.parent.parent, folder.parent):  # with and without the vendor's folder
        monkeypatch.setenv("DEPTH_PERCEPTION_MODELS", f"{tmp_path}:{place}")
        assert foundation.image_encoder("vendor/tiny-dinov2").width == 32


def test_a_preprocessor_of_a_folder_counts(folders, tmp_path):
    folder = _copied(folders["tiny-dinov2"], tmp_path)
    content = {"image_mean": [0, 0, 0], "image_std": [1, 1, 1], "size": {"shortest_edge": 70}}
    (folder / "preprocessor_config.json").write_text(json.dumps(content))
    encoder = foundation.image_encoder(str(folder))
    assert encoder.side == 70 and encoder.mean.tolist() == [0, 0, 0]
    (folder / "preprocessor_config.json").write_text("[")
    with pytest.raises(ModelError, match=r"preprocessor_config\.json"):
        foundation.image_encoder(str(folder))
    (folder / "preprocessor_config.json").unlink()
    assert foundation.image_encoder(str(folder)).side == 224


def _copied(folder: Path, to: Path) -> Path:
    out = to / folder.name
    out.mkdir()
    for path in folder.iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    return out


def test_names_of_weights_that_the_hub_has_are_understood(folders, tmp_path):
    """Its files have their own names for some weights; none may be left at random."""
    from safetensors.torch import load_file, save_file

    folder = _copied(folders["tiny-dinov2"], tmp_path)
    weights = load_file(folder / "model.safetensors")
    older = {
        "attention.q_proj": "attention.attention.query",
        "attention.k_proj": "attention.attention.key",
        "attention.v_proj": "attention.attention.value",
        "attention.o_proj": "attention.output.dense",
    }
    renamed = {}
    for name, value in weights.items():
        for now, before in older.items():
            name = name.replace(now, before)
        renamed[name] = value
    assert any("attention.attention.query" in name for name in renamed)
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    for found, wanted in zip(
        _answer(str(folder), "tiny-dinov2"), _answer("tiny-dinov2", "tiny-dinov2"), strict=True
    ):
        torch.testing.assert_close(found, wanted)


def test_weights_that_are_not_there_are_named(folders, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = _copied(folders["tiny-dinov2"], tmp_path)
    weights = load_file(folder / "model.safetensors")
    weights.pop("layernorm.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lack layernorm\.weight"):
        foundation.image_encoder(str(folder))
    whole = (folders["tiny-dinov2"] / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="does not load"):
        foundation.image_encoder(str(folder))
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="does not load"):
        foundation.image_encoder(str(folder))
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"no config\.json"):
        foundation.image_encoder(str(folder))


def test_a_model_without_its_tokenizer(folders, tmp_path):
    folder = _copied(folders["tiny-clip"], tmp_path)
    for path in folder.glob("*token*"):
        path.unlink()
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink(missing_ok=True)
    with pytest.raises(ModelError, match="tokenizer"):
        foundation.text_encoder(str(folder))


@pytest.mark.parametrize("what", ["text_encoder", "image_encoder", "depth_model", "captioner"])
def test_a_model_of_another_family_is_refused(what, folders):
    for name in ("tiny-depth-anything", str(folders["tiny-depth-anything"])):
        if what == "depth_model":
            name = name.replace("depth-anything", "dinov2")
        with pytest.raises(ModelError, match="is of family"):
            getattr(foundation, what)(name)


def test_a_folder_that_does_not_exist_is_not_asked_of_the_network(monkeypatch):
    monkeypatch.setattr(loading, "_on_network", lambda *_: pytest.fail("asked"))
    for name in ("./nowhere", "/no/such/folder", "models/of/mine"):
        with pytest.raises(ModelError, match=f"depth model '{name}' is not here"):
            foundation.depth_model(name)


HUB = "facebook/dinov2-base"


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DEPTH_PERCEPTION_MODELS", raising=False)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return tmp_path / "cache"


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A hub that knows no model."""

    class Unknown(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Unknown)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def _asked(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    def never(seconds: float) -> None:
        raise AssertionError(f"it waits {seconds} s to ask again")

    monkeypatch.setattr(time, "sleep", never)
    with pytest.raises(ModelError) as error:
        foundation.image_encoder(HUB)
    text = str(error.value)
    for part in (f"image encoder '{HUB}'", f"folder '{HUB}'", f"hf download {HUB} --local-dir"):
        assert part in text
    return text


def test_without_network_the_error_says_how_to_get_the_model(empty_cache, endpoint, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    text = _asked(f"http://127.0.0.1:{port}", monkeypatch)
    assert "no connection" in text and str(empty_cache) in text
    assert "no such model" in _asked(endpoint, monkeypatch)
    monkeypatch.setattr(loading, "_PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        text = _asked(f"http://127.0.0.1:{silent.getsockname()[1]}", monkeypatch)
        assert "no answer" in text or "timed out" in text
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE is set" in _asked("http://unreachable", monkeypatch)


def test_without_transformers_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match="pip install"):
        foundation.text_encoder("tiny-clip")


# What is stored.


def test_targets_are_what_the_models_say():
    images = _images(60, 100)
    make, settings = maker("depth", "tiny-depth-anything", side=28)
    assert settings == {"side": 28}
    assert make(images)["teacher"].shape == (2, 28, 42)
    make, settings = maker("features", "tiny-dinov2", blocks=(2, -1), side=56)
    out = make(images)
    assert settings == {"side": 56, "blocks": [2, 11]}
    assert {name: value.shape for name, value in out.items()} == {
        "features_2": (2, 32, 4, 7),
        "features_11": (2, 32, 4, 7),
    }
    make, _ = maker("captions", "tiny-blip")
    assert make(images)["caption"].shape == (2, 256)
    with pytest.raises(ConfigurationError, match="deptth"):
        maker("deptth", "tiny-blip")

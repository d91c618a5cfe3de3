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

"""Vision-Language Embodiment: sentences, text latent, both kinds of steps, and what is left out."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch trains")
pytest.importorskip("efficientnet_lite_pytorch", reason="the image encoder's wheel")

import torch
import yaml
from tiny_training import earlier_keys, trained

from depth_perception.datasets import labels
from depth_perception.datasets.sample import DatasetError, TrueCamera, TrueFrameSet
from depth_perception.datasets.shards import TAR_END, encode_set
from depth_perception.datasets.source import NOT_KNOWN
from depth_perception.errors import ConfigurationError, ModelError
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.embodied_depth import Level
from depth_perception.geometry.ground_plane import GroundPlane, plane_depth
from depth_perception.network.attention import TwoWayAttention
from depth_perception.network.checkpoint import save_checkpoint
from depth_perception.network.configuration import NetworkConfiguration
from depth_perception.network.depth_coding import REFERENCE_FOCAL, USUAL_LOG_DEPTH
from depth_perception.network.fused import FusedSurround
from depth_perception.resources import WEIGHTS_FOLDER
from depth_perception.training import targets
from depth_perception.training.configuration import (
    DataConfiguration,
    ScheduleConfiguration,
    TrainingConfiguration,
    to_dict,
)
from depth_perception.training.embodied_scene import Classes, scene_depth, scene_maps
from depth_perception.training.recipe import from_dict, read
from depth_perception.training.systems.vision_language.network import TextDepthNetwork
from depth_perception.training.systems.vision_language.samples import (
    DescribedImages,
    Description,
    decoded,
    described,
    other_side,
)
from depth_perception.training.systems.vision_language.sentences import (
    BACKGROUND,
    PLACES,
    THINGS,
    WORDS,
    SceneObject,
    depth_sentences,
    masks_of,
    objects_of,
    scene_caption,
    sentence,
    spoken,
    words_of,
)
from depth_perception.training.systems.vision_language.system import (
    Training,
    VisionLanguageOptions,
    depth_errors,
    load,
    noise_divergence,
    sample_depths,
)
from depth_perception.training.systems.vision_language.text_latent import (
    Standardised,
    WordEncoder,
    normal_divergence,
    reparameterised,
)
from depth_perception.world.output.rigs import mounting

# A level camera 1.5 m above a plane road. A thing whose feet are between rows v and v + 1 stands
# on the ground where 1/Z = (v + 0.5 - 47.5) / (70 * 1.5).
MODEL = CameraModel(128, 96, np.array([[70.0, 0, 63.5], [0, 70.0, 47.5], [0, 0, 1]]))
POSE = mounting(0.0, 0.0, 1.5, 0.0, 0.0, 0.0)
LOWEST = {labels.TRUCK: 50, labels.PERSON: 52, labels.CAR: 62}  # 35 m, 21 m, 7 m
TINY = {"latent": 16, "heads": 2, "layers": 1}
SENTENCES = (
    "a truck is 35 metres away, number 1 of 3 from the farthest."
    " a person is 21 metres away, number 2 of 3 from the farthest."
    " a car is 7.0 metres away, number 3 of 3 from the farthest."
)


def _camera(number: int = 0) -> TrueCamera:
    depth = plane_depth(MODEL.rays(), POSE, GroundPlane()).astype(np.float32)
    road = depth < 150
    depth[~road] = np.inf
    label = np.where(road, labels.ROAD, labels.SKY).astype(np.uint8)
    image = np.where(road[..., None], 90, 210) + np.random.default_rng(number).integers(
        -20, 20, (*road.shape, 3)
    )
    for (kind, row), left in zip(LOWEST.items(), (10, 50, 80), strict=True):
        box = (slice(row - 13, row + 1), slice(left, left + 20))
        label[box], image[box] = kind, 10 * kind
        depth[box] = 105 / (row + 0.5 - 47.5)
    label[-4:] = labels.OWN_BODY
    return TrueCamera("front", MODEL, POSE, POSE, image.astype(np.uint8), depth, label)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of a few such images."""
    folder = tmp_path_factory.mktemp("objects")
    weather = {"rain": 0.9, "fog": 0.001, "cover": 1.0, "sun": [0, 0, 1]}
    facts = {"rig": "flat", "setting": "suburb", "weather": weather}
    sets = [TrueFrameSet(f"{k:08d}", (_camera(k),), GroundPlane(), facts) for k in range(4)]
    content = b"".join(encode_set(item) for item in sets) + TAR_END
    (folder / "0.tar").write_bytes(content)
    manifest = {
        "format": "depth_perception world shards",
        "version": 1,
        "arguments": {},
        "shards": [{"name": "0.tar", "sets": 4, "bytes": len(content)}],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def _configuration(folder: Path, **options: object) -> TrainingConfiguration:
    return TrainingConfiguration(
        system="vision_language",
        network=NetworkConfiguration(pretrained=False),
        data=DataConfiguration(
            folders=(str(folder),), validation=str(folder), sizes=((96, 64),), workers=0
        ),
        schedule=ScheduleConfiguration(steps=4, batch=2, warm_up=1, average=0.5),
        options=VisionLanguageOptions(**{**TINY, **options}),  # type: ignore[arg-type]
    )


def _network(**settings: object) -> TextDepthNetwork:
    torch.manual_seed(0)
    return TextDepthNetwork(**{**TINY, **settings}, pretrained=False).eval()  # type: ignore[arg-type]


# The losses.


def test_divergence_of_a_standard_normal_is_zero_and_else_as_by_hand():
    zeros = torch.zeros(3, 5)
    assert normal_divergence(zeros, zeros).item() == 0.0
    mean, log_variance = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, math.log(2)]])
    # -0.5 ((1 + 0 - 1 - 1) + (1 + ln 2 - 4 - 2))
    assert normal_divergence(mean, log_variance).item() == pytest.approx(3 - math.log(2) / 2)
    both = torch.cat([mean, torch.zeros(1, 2)]), torch.cat([log_variance, torch.zeros(1, 2)])
    assert normal_divergence(*both).item() == pytest.approx((3 - math.log(2) / 2) / 2)


def test_noise_of_mean_0_and_variance_1_over_the_image_costs_nothing():
    ones = torch.tensor([1.0, -1.0]).repeat(8).view(1, 1, 4, 4)
    standard = ones * math.sqrt(15 / 16)
    assert noise_divergence(standard).item() == pytest.approx(0.0, abs=1e-5)
    assert noise_divergence(standard + 1).item() == pytest.approx(0.5, abs=1e-5)


def test_silog_and_sky_by_hand():
    found = torch.zeros(1, 1, 2, 2)
    depth = torch.full((1, 8, 8), math.exp(-0.5))
    depth[..., 4:] = math.exp(0.5)
    assert depth_errors(found, depth, 80.0)[0].item() == pytest.approx(0.5, abs=1e-4)
    depth[..., 4:] = 1.0
    depth[0, 0] = torch.nan
    expected = math.sqrt(0.125 - 0.85 * 0.0625)
    assert depth_errors(found, depth, 80.0)[0].item() == pytest.approx(expected, abs=1e-4)
    depth[0, 0] = 500.0  # farther than is learnt
    assert depth_errors(found, depth, 80.0)[0].item() == pytest.approx(expected, abs=1e-4)
    assert depth_errors(found, depth, 80.0)[1].item() == 0.0
    depth[0, 0] = torch.inf
    assert depth_errors(found, depth, 80.0)[1].item() == pytest.approx(math.log(80))
    assert depth_errors(found + 9, depth, 80.0)[1].item() == 0.0


# Objects and their sentences.


def test_sentences_of_three_objects():
    camera = _camera()
    embodied = scene_depth(camera, POSE, GroundPlane())
    assert embodied is not None
    objects = objects_of(masks_of(camera.label), embodied.depth)
    assert [thing.name for thing in objects] == ["truck", "person", "car"]
    assert [thing.depth for thing in objects] == pytest.approx([35, 21, 7], rel=1e-4)
    assert [thing.rank for thing in objects] == [1, 2, 3]
    assert depth_sentences(objects) == SENTENCES
    assert depth_sentences([]) == ""


def test_wording_of_depths():
    assert [spoken(d) for d in (0.52, 4.04, 9.94, 9.96, 32.4, 79.8)] == [
        "0.5",
        "4.0",
        "9.9",
        "10",
        "32",
        "80",
    ]
    alone = sentence(SceneObject("traffic sign", 12.0, 1), 1)
    assert alone == "a traffic sign is 12 metres away, number 1 of 1 from the farthest."


def test_touching_cars_are_two_by_their_instances_and_one_without():
    label = np.full((40, 40), labels.ROAD, np.uint8)
    label[10:20, 5:25] = labels.CAR
    instances = np.zeros(label.shape, np.int32)
    instances[10:20, 5:11], instances[10:20, 11:25] = 7, 9
    assert [int(mask.sum()) for _, mask in masks_of(label, instances)] == [140, 60]
    assert [int(mask.sum()) for _, mask in masks_of(label)] == [200]
    # One that is hidden in the middle is one, and poles have no numbers.
    instances[10:20, 5:11] = 9
    instances[10:20, 8] = 0
    label[10:20, 8] = labels.POLE
    assert [(kind, int(m.sum())) for kind, m in masks_of(label, instances)] == [
        (labels.CAR, 190),
        (labels.POLE, 10),
    ]


def test_objects_without_depth_and_all_but_the_largest_are_left_out():
    masks = []
    depth = np.full((10, 10), np.nan)
    for row, d in enumerate((np.nan, 30.0, np.inf, 10.0, 20.0)):
        mask = np.zeros((10, 10), bool)
        mask[row] = True
        depth[row] = d
        masks.append((labels.CAR, mask))
    assert [thing.depth for thing in objects_of(masks, depth)] == [30.0, 20.0, 10.0]
    assert [thing.depth for thing in objects_of(masks, depth, most=2)] == [30.0, 10.0]


def test_caption_of_a_scene():
    camera = _camera()
    facts = {"setting": "city", "weather": {"rain": 0, "fog": 0, "cover": 0.2, "sun": [0, 0, 0.1]}}
    masks = masks_of(camera.label)
    assert scene_caption(facts, camera.label, masks) == (
        "a clear city street at dusk with a truck and a car and a person and sky."
    )
    facts["weather"]["cover"] = 1.0  # type: ignore[index]
    assert scene_caption(facts, camera.label, []) == "an overcast city street with sky."
    assert scene_caption({}, np.full((4, 4), 255, np.uint8), []) == "a street."


def test_all_that_is_said_is_in_the_vocabulary():
    texts = [SENTENCES, *BACKGROUND.values(), *(w for pair in THINGS.values() for w in pair)]
    for setting in PLACES:
        for rain, fog, cover, sun in (
            (1, 0, 1, 1),
            (0, 0.1, 1, 1),
            (0, 0, 1, 1),
            (0, 0, 0.7, 0.1),
            (0, 0, 0.1, 0.3),
        ):
            weather = {"rain": rain, "fog": fog, "cover": cover, "sun": [0, 0, sun]}
            facts = {"setting": setting, "weather": weather}
            texts.append(scene_caption(facts, _camera().label, masks_of(_camera().label)))
    said = {word for text in texts for word in words_of(text) if not word[0].isdigit()}
    assert said <= set(WORDS)
    assert words_of("A car, 7.0 metres.") == ["a", "car", "7.0", "metres", "."]


# Embodied scene depth as an input, and the samples.


def test_maps_say_the_depth_of_the_road_for_the_usual_focal_length():
    camera = _camera()
    maps = scene_maps(scene_depth(camera, POSE, GroundPlane()), (128, 96), 70.0)
    assert maps.shape == (4, 24, 32)
    # Row 82: 1/Z = 34.5 / 105.
    expected = math.log(105 / 34.5 * REFERENCE_FOCAL / 70) - USUAL_LOG_DEPTH
    assert maps[0, 20, 16] == pytest.approx(expected, abs=1e-4)
    assert maps[1, 20, 16] == 1 and maps[2, 20, 16] > 0.9 and maps[3, 20, 16] == 0
    assert maps[:, 2, 16].tolist() == [0, 0, 0, 1]  # the sky
    assert maps[:, 23, 16].tolist() == [0, 0, 0, 0]  # the own body
    for nothing in (
        scene_depth(camera, POSE, None),
        scene_depth(
            replace(camera, label=np.full_like(camera.label, NOT_KNOWN)), POSE, GroundPlane()
        ),
        scene_depth(camera, POSE, GroundPlane(height=1.49)),
    ):
        assert nothing is None
    assert not scene_maps(None, (128, 96), 70.0).any()


def test_things_that_touch_have_a_depth_for_each_column_of_their_feet_if_asked_for():
    """Two cars side by side, seen as one, whose feet are at rows 60 and 82."""
    label = np.full((96, 128), labels.ROAD, np.uint8)
    label[50:61, 32:64] = labels.CAR
    label[50:83, 64:96] = labels.CAR
    camera = replace(_camera(), label=label, layers={})
    together, apart = (
        scene_depth(camera, POSE, GroundPlane(), level=Level.EXTENDED, columns=columns)
        for columns in (False, True)
    )
    assert together is not None and apart is not None
    assert together.depth[55, 40] == pytest.approx(together.depth[55, 88])
    # 1/Z = (v - 47.5) / (70 * 1.5), at the first row of the road below.
    assert apart.depth[55, 40] == pytest.approx(105 / 13.5, rel=0.08)
    assert apart.depth[55, 88] == pytest.approx(105 / 35.5, rel=0.04)


def test_nothing_but_the_truth_changes_with_the_depth():
    camera, facts = _camera(), {"setting": "city"}
    other = replace(camera, depth=np.full_like(camera.depth, 3.0))
    one, two = (
        described(c, c.label, POSE, GroundPlane(), Description(), facts=facts)
        for c in (camera, other)
    )
    assert decoded(torch.from_numpy(one["text"])[None])[0].endswith(SENTENCES)
    for name in set(one) - {"depth"}:
        assert np.array_equal(one[name], two[name]), name
    assert not np.array_equal(one["depth"], two["depth"], equal_nan=True)
    # It is the calibration that says how far things are.
    lower = POSE.copy()
    lower[2, 3] = 0.9
    three = described(camera, camera.label, lower, GroundPlane(), Description(), facts=facts)
    assert "a truck is 21 metres away" in decoded(torch.from_numpy(three["text"])[None])[0]


def test_what_a_sample_says_follows_the_options(data):
    configuration = DataConfiguration(folders=(str(data),), sizes=((128, 96),))

    def text(**options: object) -> str:
        images = DescribedImages(
            configuration,
            Description(**options),
            change=False,  # type: ignore[arg-type]
        )
        return decoded(images[(0, 0, 0)]["text"][None])[0]

    caption = "a rainy suburban street with a truck and a car and a person and sky."
    assert text() == f"{caption} {SENTENCES}"
    assert text(sentences=False) == caption
    assert text(captions="none") == SENTENCES
    assert text(captions="none", sentences=False) == ""
    assert text(captions="none", objects=1).endswith("number 1 of 1 from the farthest.")


def test_captions_from_a_folder(data, tmp_path):
    configuration = DataConfiguration(folders=(str(data),), sizes=((96, 64),))
    description = Description(captions=str(tmp_path), sentences=False)
    images = DescribedImages(configuration, description, change=False)
    with pytest.raises(DatasetError, match=r"00000000\.front\.txt"):
        images[(0, 0, 0)]
    folder = tmp_path / data.name
    folder.mkdir()
    (folder / "00000000.front.txt").write_text("A lorry – on the left of a road\n")
    assert decoded(images[(0, 0, 0)]["text"][None]) == ["A lorry – on the left of a road."]
    # A mirrored image has it on the right.
    changing = DescribedImages(configuration, description)
    changing._changes = [replace(item, flip=1.0) for item in changing._changes]
    assert decoded(changing[(0, 0, 0)]["text"][None]) == ["A lorry – on the right of a road."]
    assert other_side("Right, then left; leftover") == "Left, then right; leftover"


def test_captions_among_targets(data, tmp_path):
    def make(images: torch.Tensor) -> dict[str, np.ndarray]:
        return {"caption": targets.encode_text(["what – is seen"] * len(images))}

    targets.compute(tmp_path / "told", str(data), "captions", make, model="x")
    configuration = DataConfiguration(folders=(f"targets:{tmp_path}/told",), sizes=((96, 64),))
    description = Description(captions="targets")
    images = DescribedImages(configuration, description, change=False)
    assert decoded(images[(1, 0, 0)]["text"][None])[0].startswith("what – is seen. a truck is")
    plain = DescribedImages(configuration, description, (str(data),), change=False)
    with pytest.raises(ConfigurationError, match=f"'{data.name}' has no captions"):
        plain[(0, 0, 0)]


def test_captions_must_be_there_for_all_sources_before_training(data, tmp_path):
    for options, named in (
        ({"captions": "targets", "text": "own"}, "options.text 'own'"),
        ({"captions": "targets", "text": "tiny-clip"}, f"'{data}' has no captions"),
        ({"captions": str(tmp_path), "text": "tiny-clip"}, f"'{data}' has no captions"),
    ):
        with pytest.raises(ConfigurationError, match=re.escape(named)):
            Training().build(_configuration(data, **options))
    (tmp_path / data.name).mkdir()
    Training().build(_configuration(data, captions=str(tmp_path), text="tiny-clip"))


def test_who_finds_classes_by_a_network_sees_no_true_instances(tmp_path):
    """Two cars that touch: apart by true instances, one thing by classes alone."""
    camera = _camera()
    label = np.full_like(camera.label, labels.ROAD)
    label[40:80, 20:100] = labels.CAR
    instance = np.zeros(label.shape, np.uint16)
    instance[40:80, 20:60], instance[40:80, 60:100] = 1, 2
    camera = replace(camera, label=label, layers={"instance": instance})
    item = TrueFrameSet("0", (camera,), GroundPlane(), {"rig": "flat"})
    folder = tmp_path / "set"
    folder.mkdir()
    payload = encode_set(item) + TAR_END
    (folder / "0.tar").write_bytes(payload)
    manifest = {
        "format": "depth_perception world shards",
        "version": 1,
        "arguments": {},
        "shards": [{"name": "0.tar", "sets": 1, "bytes": len(payload)}],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    configuration = DataConfiguration(folders=(str(folder),), sizes=((128, 96),))
    told = []
    for found in (None, label.copy()):
        images = DescribedImages(configuration, Description(captions="none"), change=False)
        if found is not None:
            images._classes = lambda *_, seen=found: seen  # type: ignore[assignment]
        told.append(decoded(images[(0, 0, 0)]["text"][None])[0])
    assert told[0].count("a car is") == 2 and told[1].count("a car is") == 1


def test_classes_of_a_network_where_there_are_no_labels(tmp_path):
    torch.manual_seed(0)
    network = FusedSurround(NetworkConfiguration(widths=(8, 8, 16, 16), bins=8), pretrained=False)
    save_checkpoint(tmp_path / "seen.pt", network, {})
    camera, classes = _camera(), Classes(str(tmp_path / "seen.pt"))
    seen = classes(camera, POSE, GroundPlane())
    assert seen.shape == camera.label.shape and seen.dtype == np.uint8
    assert (seen[-4:] == labels.OWN_BODY).all() and (seen[:-4] <= labels.BICYCLE).all()
    unknown = replace(camera, label=np.full_like(camera.label, NOT_KNOWN))
    assert (classes(unknown, POSE, GroundPlane()) <= labels.BICYCLE).all()
    item = described(unknown, seen, POSE, GroundPlane(), Description())
    assert np.isfinite(item["depth"]).any() and item["embodied"].any()
    assert Classes()(camera, POSE, None) is camera.label
    # Without labels it is the package's own network that says.
    own = Classes(str(WEIGHTS_FOLDER / "lite.pt"))(unknown, POSE, GroundPlane())
    assert np.array_equal(Classes()(unknown, POSE, GroundPlane()), own)
    with pytest.raises(ModelError, match=r"nowhere\.pt"):
        Classes("nowhere.pt")


# The network.


def test_two_way_attention_swaps_the_queries():
    """Against sums written out: F_d = softmax(Q_r K_d / root d) V_d, and the other way round."""
    torch.manual_seed(1)
    block = TwoWayAttention(4, 1)
    image, embodied = torch.randn(1, 4, 1, 2), torch.randn(1, 4, 1, 3)[..., :2]
    x, e = image[0, :, 0].T, embodied[0, :, 0].T
    nx, ne = block.image_norm(x), block.embodied_norm(e)

    def asked(attention, queries, others):  # type: ignore[no-untyped-def]
        q = attention.query(queries)
        k, v = attention.key_value(others).split(4, -1)
        rows = []
        for one in q:
            weights = torch.exp(torch.stack([(one * key).sum() / 2 for key in k]))
            rows.append((weights[:, None] * v).sum(0) / weights.sum())
        return attention.out(torch.stack(rows))

    both = torch.cat([asked(block.to_embodied, nx, ne), asked(block.to_image, ne, nx)], -1)
    y = x + e + block.merge(both)
    expected = y + block.mlp(block.norm(y))
    torch.testing.assert_close(block(image, embodied)[0, :, 0].T, expected)


def test_no_noise_gives_the_mean_and_one_gives_a_deviation_more():
    mean, log_variance = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.0, math.log(9)]])
    zero, one = torch.zeros(1, 2, 2, 3), torch.ones(1, 2, 2, 3)
    assert torch.equal(reparameterised(mean, log_variance, zero)[0, :, 1, 2], mean[0])
    torch.testing.assert_close(
        reparameterised(mean, log_variance, one)[0, :, 0, 0], torch.tensor([2.0, 1.0])
    )


def test_words_and_numbers_and_their_order_count():
    encoder = WordEncoder(16, 2).eval()
    near, far, again, other, unknown, swapped, empty = encoder(
        [
            "a car is 5.0 metres away",
            "a car is 50 metres away",
            "A car is 5.00 metres away!",
            "a xyz is 5.0 metres away",
            "a zyx is 5.0 metres away",
            "a car away is 5.0 metres",
            "",
        ]
    )
    torch.testing.assert_close(near, again)
    torch.testing.assert_close(other, unknown)
    for different in (far, other, swapped, empty):
        assert (near - different).abs().max() > 1e-3
    # What fills up a batch's shorter texts does not count.
    torch.testing.assert_close(encoder(["a car"])[0], encoder(["a car", "a car is 5.0"])[0])


def test_what_all_texts_share_is_taken_away_and_what_tells_them_apart_counts():
    layer = Standardised(2).train()
    x = torch.tensor([[100.0, 5.0], [100.2, 5.0]])
    torch.testing.assert_close(layer(x), torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), atol=1e-2, rtol=0)
    before = [value.clone() for value in layer.state_dict().values()]
    with torch.no_grad():
        layer(x + 1)  # a step from images
    layer.eval()(x + 1)
    assert all(torch.equal(a, b) for a, b in zip(before, layer.state_dict().values(), strict=True))
    layer.train()(x + 1)
    assert layer.mean[0].item() == pytest.approx(100.6, abs=1e-4)  # of both batches so far
    # One that is unlike all others does not break what follows.
    assert layer.eval()(x * 1e6).abs().max() == 5.0


def test_twice_the_focal_length_is_twice_as_far_but_for_what_the_decoder_learns():
    network = _network()
    with torch.no_grad():
        network.decoder.stages[0][0][0].weight[:, -1] = 0  # the plane of the focal length
        z, focal = torch.randn(1, 16, 2, 3).repeat(2, 1, 1, 1), torch.tensor([150.0, 300.0])
        near, far = network.decoder(z, focal)
    assert near.shape == (1, 8, 12)
    torch.testing.assert_close(far - near, torch.full_like(near, math.log(2)))


def _batch(folder: Path, configuration: TrainingConfiguration, from_text: bool) -> dict:
    images = DescribedImages(configuration.data, configuration.options, change=False)
    items = [images[(i, 0, 0)] for i in range(2)]
    batch = {name: torch.stack([item[name] for item in items]) for name in items[0]}
    return {**batch, "from_text": torch.tensor(from_text), "seed": torch.tensor(5)}


def test_each_kind_of_step_leaves_the_other_side_as_it_was(data):
    configuration, system = _configuration(data), Training()
    torch.manual_seed(0)
    model = system.build(configuration)
    optimizer = torch.optim.AdamW(system.groups(model, configuration), weight_decay=0.1)
    text = ("words.", "text.")
    seen = ("image.", "embodied.", "cross_attention.", "sampler.")
    for from_text in (True, False, True, False):  # with momentum from earlier steps, too
        before = {k: v.clone() for k, v in model.state_dict().items()}
        batch = _batch(data, configuration, from_text)
        loss, _ = system.loss(model, batch, configuration)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
        still, moves = (seen, text) if from_text else (text, seen)
        assert not [k for k in changed if k.startswith(still)]
        for part in (*moves, "decoder."):
            assert [k for k in changed if k.startswith(part)], part
    named = dict(model.named_parameters())
    assert not [k for k in changed if not named[k].requires_grad]


def test_drawn_depths_differ_and_are_depths():
    network = _network()
    text = "a clear city street. " + SENTENCES
    drawn = sample_depths(network, text, 3, size=(96, 64), focal=70.0)
    assert drawn.shape == (3, 1, 64, 96)
    assert torch.isfinite(drawn).all() and (drawn > 0).all()
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert (drawn[a] - drawn[b]).abs().max() > 1e-3
    assert torch.equal(drawn, sample_depths(network, text, 3, size=(96, 64), focal=70.0))
    again = sample_depths(network, text, 3, size=(96, 64), focal=70.0, seed=1)
    assert not torch.equal(drawn, again)
    other = sample_depths(network, text.replace("35", "9.0"), 3, size=(96, 64), focal=70.0)
    assert not torch.equal(drawn, other)
    with pytest.raises(ConfigurationError, match="100x64"):
        sample_depths(network, text, 3, size=(100, 64))
    with pytest.raises(ConfigurationError, match="knows no text"):
        sample_depths(_network(text=""), text, 3)


def _depth(network: TextDepthNetwork, embodied: torch.Tensor, text: str) -> torch.Tensor:
    image = torch.linspace(0, 255, 3 * 64 * 96).view(1, 3, 64, 96)
    with torch.no_grad():
        return network(image, embodied, [text], torch.tensor([300.0])).log_depth


@pytest.mark.parametrize("fusion", [True, False])
def test_without_embodied_depth_it_does_not_count(fusion):
    torch.manual_seed(3)
    one, two = torch.randn(1, 4, 16, 24), torch.randn(1, 4, 16, 24)
    with_it = _network(fusion=fusion)
    without = _network(embodied=False, fusion=fusion)
    assert not torch.equal(_depth(with_it, one, "a"), _depth(with_it, two, "a"))
    assert torch.equal(_depth(without, one, "a"), _depth(without, two, "a"))
    assert torch.equal(_depth(without, one, "a"), _depth(without, one * torch.nan, "a"))
    assert (with_it.cross_attention is not None) == fusion and without.cross_attention is None


def test_without_text_it_does_not_count():
    maps = torch.zeros(1, 4, 16, 24)
    plain, full = _network(text=""), _network()
    assert torch.equal(_depth(plain, maps, "a car."), _depth(plain, maps, "a truck."))
    assert not torch.equal(_depth(full, maps, "a car."), _depth(full, maps, "a truck."))


# Training.


def test_all_processes_take_the_same_kind_of_step_also_after_a_stop(data):
    configuration = _configuration(data)

    def steps(first: int, count: int, rank: int = 0, ranks: int = 1) -> list[tuple[bool, int]]:
        source = Training().batches(configuration, first, rank, ranks)
        batches = [next(source) for _ in range(count)]
        return [(bool(batch["from_text"]), int(batch["seed"])) for batch in batches]

    whole = steps(0, 12)
    assert 2 <= sum(kind for kind, _ in whole) <= 10
    assert steps(5, 3) == whole[5:8]
    second = steps(0, 12, rank=1, ranks=2)
    assert [kind for kind, _ in second] == [kind for kind, _ in whole]
    assert not {seed for _, seed in second} & {seed for _, seed in whole}
    plain = Training().batches(_configuration(data, text_vae=False), 0, 0, 1)
    assert not any(bool(next(plain)["from_text"]) for _ in range(6))


def test_both_losses_fall(data):
    configuration, system = _configuration(data), Training()
    torch.manual_seed(0)
    model = system.build(configuration)
    optimizer = torch.optim.AdamW(system.groups(model, configuration))
    for group in optimizer.param_groups:
        group["lr"] = 3e-3
    values: dict[bool, list[float]] = {True: [], False: []}
    for step in range(24):
        batch = _batch(data, configuration, step % 2 == 0)
        loss, parts = system.loss(model, batch, configuration)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        values[step % 2 == 0].append(float(loss.detach()))
        assert parts["text_silog"] > 0 if step % 2 == 0 else parts["image_silog"] > 0
    for found in values.values():
        assert np.mean(found[-3:]) < 0.8 * np.mean(found[:3])


@pytest.mark.long
def test_a_text_alone_tells_near_from_far():
    camera, low = _camera(), POSE.copy()
    low[2, 3] /= 4
    near = replace(camera, depth=camera.depth / 4)
    items = [
        described(c, c.label, T, GroundPlane(), Description())
        for c, T in ((camera, POSE), (near, low))
    ]
    batch = {name: torch.from_numpy(np.stack([item[name] for item in items])) for name in items[0]}
    configuration = TrainingConfiguration(
        network=NetworkConfiguration(pretrained=False), options=VisionLanguageOptions(**TINY)
    )
    system, texts = Training(), decoded(batch["text"])
    torch.manual_seed(0)
    model = system.build(configuration)
    optimizer = torch.optim.AdamW(system.groups(model, configuration))
    for group in optimizer.param_groups:
        group["lr"] = 3e-3
    for step in range(250):
        kind = {"from_text": torch.tensor(True), "seed": torch.tensor(step)}
        loss, _ = system.loss(model, {**batch, **kind}, configuration)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    model.eval()
    middle = [
        sample_depths(model, text, 4, size=(128, 96), focal=70.0)[..., :92, :].median()
        for text in texts
    ]
    assert middle[0] > 2.0 * middle[1]  # of three seeds 3.20, 3.45 and 4.35 times; four is right


def test_a_run_writes_weights_that_predict_the_same(data, tmp_path):
    configuration = _configuration(data)
    figures = trained(Training(), configuration, tmp_path)
    assert {"abs_rel", "text_abs_rel", "text_spread"} <= figures.keys()
    assert figures["text_spread"] > 0
    model, facts = load(tmp_path / "weights.pt")
    assert facts["step"] == 4 and not model.training
    again = Training().validate(model, configuration, torch.device("cpu"))
    assert again == pytest.approx(figures, rel=1e-5)
    start = replace(configuration, start=str(tmp_path / "weights.pt"))
    same = Training().build(start).state_dict()
    assert all(torch.equal(value, same[name]) for name, value in model.state_dict().items())
    other = replace(start, options=replace(start.options, embodied=False))
    with pytest.raises(ConfigurationError, match="another network"):
        Training().build(other)


@pytest.mark.long
def test_two_processes_learn_by_turns(data, tmp_path):
    """Each step leaves one side's weights without gradients: nobody waits for them."""
    configuration = _configuration(data)
    configuration = replace(configuration, data=replace(configuration.data, validation=""))
    turns = [np.random.default_rng([configuration.seed, 61, k]).uniform() < 0.5 for k in range(4)]
    assert len(set(turns)) == 2  # both ways come
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(to_dict(configuration)))
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--standalone",
        "-m",
        "depth_perception.cli.main",
        "train",
        str(path),
        "-o",
        str(tmp_path / "run"),
        "--device",
        "cpu",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=1500)
    assert done.returncode == 0, done.stdout + done.stderr
    assert load(tmp_path / "run/weights.pt")[1]["step"] == 4


def test_a_plain_run_has_no_figures_of_text(data, tmp_path):
    configuration = _configuration(data, text_vae=False, embodied=False)
    short = replace(configuration, schedule=replace(configuration.schedule, steps=2))
    figures = trained(Training(), short, tmp_path)
    assert "abs_rel" in figures and "text_abs_rel" not in figures
    assert load(tmp_path / "weights.pt")[0].text is None


def test_a_wrong_checkpoint_is_named(tmp_path):
    path = tmp_path / "weights.pt"
    with pytest.raises(ModelError, match="does not exist"):
        load(path)
    path.write_bytes(b"no")
    with pytest.raises(ModelError, match="cannot be read"):
        load(path)
    torch.save({"system": "other"}, path)
    with pytest.raises(ModelError, match="no checkpoint of vision_language"):
        load(path)
    network = _network()
    Training().save(network, path, {})
    content = torch.load(path, weights_only=True)
    torch.save({**content, "state": earlier_keys(content["state"])}, path)
    assert "meet.join.bias" in torch.load(path, weights_only=True)["state"]
    for value, same in zip(
        load(path)[0].state_dict().values(), network.state_dict().values(), strict=True
    ):
        assert torch.equal(value, same)
    del content["state"]["decoder.last.bias"]
    torch.save(content, path)
    with pytest.raises(ModelError, match=r"decoder\.last\.bias"):
        load(path)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"latent": 30}, "latent 30"),
        ({"latent": 32, "heads": 3}, "heads 3"),
        ({"layers": 0}, "layers 0"),
        ({"share": 1.0}, "share 1.0"),
        ({"objects": 0}, "objects 0"),
        ({"captions": "nowhere"}, "nowhere"),
        ({"caption": "scene"}, "options.caption does not"),
        ({"embodied": "yes"}, "options.embodied"),
        ({"farthest": 0.5}, "farthest 0.5"),
    ],
)
def test_wrong_options_are_named(options, named):
    with pytest.raises(ConfigurationError, match=named):
        from_dict({"system": "vision_language", "options": options})


def test_no_folders_to_train_on():
    with pytest.raises(ConfigurationError, match="folders is empty"):
        next(Training().batches(TrainingConfiguration(options=VisionLanguageOptions()), 0, 0, 1))


def test_the_configuration_that_comes_with_the_package():
    path = Path(__file__).parents[1] / "config/training/vision_language.yaml"
    configuration = read(path)
    assert configuration.options == VisionLanguageOptions()
    assert from_dict(to_dict(configuration)) == configuration


# Foundation models, at tiny size and with random weights.


def test_foundation_encoders_take_part_and_stay_as_they_are(tmp_path):
    pytest.importorskip("transformers", reason="foundation models come from there")
    pytest.importorskip("depth_perception.training.foundation")
    network = _network(text="tiny-clip", image="tiny-dinov2").train()
    maps, text = torch.zeros(1, 4, 16, 24), "a clear city street. " + SENTENCES
    assert not torch.equal(_depth(network, maps, text), _depth(network, maps, "a truck."))
    frozen = [k for k, p in network.named_parameters() if ".encoder." in k and p.requires_grad]
    assert not frozen
    Training().save(network, tmp_path / "weights.pt", {})
    stored = torch.load(tmp_path / "weights.pt", weights_only=True)["state"]
    assert not [name for name in stored if ".encoder." in name]
    again, _ = load(tmp_path / "weights.pt")
    torch.testing.assert_close(_depth(network.eval(), maps, text), _depth(again, maps, text))

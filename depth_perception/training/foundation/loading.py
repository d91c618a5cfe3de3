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

"""Find a model by its name, and load it with `transformers`: all of it, or an error that helps."""

from __future__ import annotations

import json
import os
import re
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from depth_perception.errors import ModelError
from depth_perception.inference.image_input import SEARCH_PATH
from depth_perception.training.foundation import tiny
from depth_perception.training.foundation.frozen import quiet
from depth_perception.training.foundation.pictures import ImagePreprocessing, preprocessing_of

CLASSES = {
    "blip": "BlipForConditionalGeneration",
    "clip": "CLIPModel",
    "dinov2": "Dinov2Model",
    "depth_anything": "DepthAnythingForDepthEstimation",
    "sam": "SamModel",
}
"""Family, as a model's `config.json` names it, and what `transformers` calls its network."""
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_HUB_NAME = re.compile(r"(?!.*(--|\.\.))\w[\w.-]*(/\w[\w.-]*)?(?<![.-])")
_LEAST_WORDS = 0.9
"""Share of a network's tokens that its tokenizer knows at least."""
_PATIENCE = 5.0
"""How long the network may take to answer at all, s."""


@dataclass(frozen=True)
class Opened:
    """A model that was found.

    Attributes:
        name: As it was asked for.
        family: A key of `CLASSES`.
        model: The network of `transformers`.
        where: Folder or name of the hub; empty for the tiny ones.
        local: Whether everything is on this machine.
    """

    name: str
    family: str
    model: nn.Module
    where: str
    local: bool

    def preprocessing(self, default: ImagePreprocessing) -> ImagePreprocessing:
        """How it wants images; the default where its files do not say."""
        if not self.where:
            return tiny.preprocessing(default)
        for file, part in (("preprocessor_config.json", ""), ("processor_config.json", "image_")):
            path = _file(self, file)
            if path:
                try:
                    content = json.loads(Path(path).read_text())
                    return preprocessing_of(
                        content["image_processor"] if part else content, default
                    )
                except (KeyError, TypeError, ValueError) as error:
                    raise ModelError(
                        f"'{path}' of model '{self.name}' is damaged ({error})",
                        expected="the model's image_mean, image_std and size",
                        fix="download the model again",
                    ) from None
        return default

    def tokenizer(self) -> Any:
        """What turns its texts into numbers, and back."""
        if not self.where:
            return tiny.tokenizer(self.family)
        from transformers import AutoTokenizer

        try:
            with quiet():
                words = AutoTokenizer.from_pretrained(self.where, local_files_only=self.local)
        except Exception as error:  # transformers raises anything
            raise _not_loaded(self.name, self.where, f"its tokenizer: {error}") from None
        config: Any = self.model.config
        known, wanted = len(words), int(config.text_config.vocab_size)
        if (
            not _LEAST_WORDS * wanted < known <= wanted
        ):  # without its files it knows next to nothing
            why = f"its tokenizer knows {known} tokens, its network {wanted}"
            raise _not_loaded(self.name, self.where, why)
        return words


def opened(name: str, what: str, families: tuple[str, ...]) -> Opened:
    """Find a model and load it.

    Args:
        name: See `foundation`.
        what: What it is to be, for errors.
        families: Which it may be of.

    Raises:
        ModelError: `transformers` is not installed; the model is nowhere; it is of another family,
            damaged or incomplete. Says what to do.
    """
    transformers = _transformers()
    if name in tiny.TINY:
        family = tiny.TINY[name]
        _check_family(name, what, family, families)
        return Opened(name, family, tiny.network(family), "", True)
    where, local, family = _described(transformers, name, what)
    _check_family(name, what, family, families)
    kind = getattr(transformers, CLASSES[family])
    try:
        with quiet():
            model, report = kind.from_pretrained(
                where, local_files_only=local, dtype="float32", output_loading_info=True
            )
    except Exception as error:
        raise _not_loaded(name, where, str(error)) from None
    missing = sorted(report["missing_keys"])
    if missing:
        raise _not_loaded(name, where, f"its weights lack {missing[0]} and {len(missing) - 1} more")
    return Opened(name, family, model, where, local)


def family_of(name: str) -> str:
    """Say of which family a model is, a key of `CLASSES`, without loading its weights.

    Raises:
        ModelError: It is nowhere, is damaged, or of a family that nobody here can use.
    """
    if name in tiny.TINY:
        return tiny.TINY[name]
    family = _described(_transformers(), name, "foundation model")[2]
    _check_family(name, "foundation model", family, tuple(CLASSES))
    return family


def _described(transformers: Any, name: str, what: str) -> tuple[str, bool, str]:
    """Where a model lies, whether on this machine, and its family."""
    where, local = _found(name, what)
    try:
        with quiet():
            config = transformers.AutoConfig.from_pretrained(where, local_files_only=local)
    except Exception as error:  # transformers raises anything
        raise _not_loaded(name, where, f"config.json: {error}") from None
    return where, local, str(config.model_type)


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ModelError(
            f"foundation models need the package transformers ({error})",
            fix="pip install -r requirements/training.txt, or pip install transformers",
        ) from None
    if int(transformers.__version__.split(".")[0]) < 5:
        raise ModelError(
            f"transformers {transformers.__version__}",
            expected="version 5 or newer",
            fix="pip install --upgrade transformers",
        )
    return transformers


def _check_family(name: str, what: str, family: str, families: tuple[str, ...]) -> None:
    if family not in families:
        usual = [key for key, value in tiny.TINY.items() if value in families]
        raise ModelError(
            f"model '{name}' is of family '{family}' and no {what}",
            expected=" or ".join(families),
            fix=f"name another, such as {', '.join(f'{HUB[f]}' for f in families)} or {usual[0]}",
        )


HUB = {
    "blip": "Salesforce/blip-image-captioning-base",
    "clip": "openai/clip-vit-base-patch16",
    "dinov2": "facebook/dinov2-base",
    "sam": "facebook/sam-vit-base",
    "depth_anything": "depth-anything/Depth-Anything-V2-Small-hf",
}
"""A well-known model of each family, on the hub."""


def _found(name: str, what: str) -> tuple[str, bool]:
    """Where a model is: a folder, or a name of the hub; and whether it is on this machine."""
    named = Path(os.path.expanduser(name))
    folders = [Path(item) for item in os.environ.get(SEARCH_PATH, "").split(os.pathsep) if item]
    candidates = [named]
    if not named.is_absolute():
        candidates += [folder / part for folder in folders for part in (name, named.name)]
    for candidate in candidates:
        if (candidate / "config.json").is_file():
            return str(candidate), True
    if named.is_dir():
        raise ModelError(
            f"{what}: folder '{name}' has no config.json",
            expected="a model of transformers",
            fix="download it again: hf download NAME --local-dir FOLDER",
        )
    looked = [f"folder '{candidate}'" for candidate in candidates]
    if not _HUB_NAME.fullmatch(name):
        raise _nowhere(name, what, looked, "HUB_NAME")
    from huggingface_hub import constants, try_to_load_from_cache

    files = [*_WEIGHTS, *(f"{file}.index.json" for file in _WEIGHTS)]
    cached = [isinstance(try_to_load_from_cache(name, f), str) for f in ("config.json", *files)]
    if cached[0] and any(cached[1:]):
        return name, True
    looked.append(f"the hub's cache '{constants.HF_HUB_CACHE}'")
    if constants.HF_HUB_OFFLINE or _is_set("HF_HUB_OFFLINE") or _is_set("TRANSFORMERS_OFFLINE"):
        raise _nowhere(name, what, [*looked, "not on the network, as HF_HUB_OFFLINE is set"], name)
    known = _on_network(constants.ENDPOINT, name)
    if known != "found":
        raise _nowhere(name, what, [*looked, f"{constants.ENDPOINT} ({known})"], name)
    return name, False


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "").upper() in ("1", "ON", "YES", "TRUE")


def _on_network(endpoint: str, name: str) -> str:
    """Ask the hub for a model within seconds: "found", or what was the matter."""
    answer = [f"no answer in {_PATIENCE:.0f} s"]

    def ask() -> None:
        from huggingface_hub.utils import build_hf_headers

        url = f"{endpoint}/{name}/resolve/main/config.json"
        request = urllib.request.Request(url, headers=build_hf_headers(), method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE):
                answer[0] = "found"
        except urllib.error.HTTPError as error:
            unknown = error.code in (401, 403, 404)
            answer[0] = f"{error.code}: no such model, or not for everybody" if unknown else "found"
        except (OSError, ValueError) as error:
            answer[0] = f"no connection: {getattr(error, 'reason', error)}"

    # A name server that does not answer holds up for longer than any timeout that can be set.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return answer[0]


def _nowhere(name: str, what: str, looked: list[str], hub_name: str) -> ModelError:
    return ModelError(
        f"{what} '{name}' is not here; looked for in {', '.join(looked)}",
        expected="a folder with config.json and weights, or a model of the hub",
        fix=f"on a machine with a network: hf download {hub_name} --local-dir FOLDER; copy FOLDER"
        f" here and name it, or put it into a folder of {SEARCH_PATH}",
    )


def _not_loaded(name: str, where: str, why: str) -> ModelError:
    place = "" if where == name else f" from '{where}'"
    return ModelError(
        f"model '{name}' does not load{place} ({' '.join(why.split())[:300]})",
        expected="a whole model that transformers can read",
        fix=f"download it again: hf download {name if where == name else 'NAME'} --local-dir"
        " FOLDER, and name FOLDER",
    )


def _file(found: Opened, name: str) -> str | None:
    """Path of one of a model's small files; None where it has none."""
    if found.local and Path(found.where).is_dir():
        path = Path(found.where) / name
        return str(path) if path.is_file() else None
    from huggingface_hub import hf_hub_download

    try:
        return str(hf_hub_download(found.where, name, local_files_only=found.local))
    except Exception:  # the hub raises anything for a file that is not there
        return None

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

"""The words of a report, each explained in a sentence that needs no other knowledge."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """An entry: where it stands on the page, how it is written there, and what it means."""

    key: str
    names: tuple[str, ...]
    meaning: str


GLOSSARY = (
    Word(
        "depth",
        ("depth",),
        "distance along the camera's optical axis, metres: less than the way to a thing beside it.",
    ),
    Word(
        "abs-rel",
        ("AbsRel",),
        "mean of |D − D*| / D*, D the depth and D* the truth: how far off a depth typically is, as"
        " a share of the truth. 0.10 is 10 %; less is better.",
    ),
    Word(
        "sq-rel",
        ("SqRel",),
        "mean of (D − D*)² / D*, metres: as AbsRel, with large misses weighing more. Less is"
        " better.",
    ),
    Word(
        "rmse",
        ("RMSE",),
        "root of the mean squared error, metres: far points dominate it. Less is better.",
    ),
    Word(
        "rmse-log",
        ("RMSE log",),
        "the RMSE of the natural logarithm of depth: near and far weigh alike. Less is better.",
    ),
    Word(
        "silog",
        ("SILog",),
        "100 times the spread of ln D − ln D*: the error that is left when the scale is made right."
        " Less is better.",
    ),
    Word("log10", ("log10",), "mean of |log10 D − log10 D*|. Less is better."),
    Word(
        "delta",
        ("δ1", "δ2", "δ3"),
        "share of points within a factor of 1.25, 1.25², 1.25³ of the truth, %. More is better.",
    ),
    Word(
        "within",
        ("A5", "A10"),
        "share of points within 5 % and within 10 % of the truth, %. More is better.",
    ),
    Word(
        "coverage",
        ("coverage",),
        "share of the truth (LiDAR points, or pixels with exact truth) where the image has a finite"
        " depth, %; all other metrics are over these.",
    ),
    Word(
        "confidence",
        ("confidence",),
        "0 to 1, for every pixel: how probable it is, by the estimator's own word, that depth is"
        " right to 10 %.",
    ),
    Word(
        "ece",
        ("ECE",),
        "expected calibration error: how far the share of points that are right to 10 % lies from"
        " the confidence that was given, in each tenth of confidence, mean over points, %. Less is"
        " better.",
    ),
    Word(
        "obstacle-cloud",
        ("obstacle cloud",),
        "points 0.3 to 3 m above the ground and at most 25 m away, one per cube of 0.2 m."
        " Precision: share of the predicted ones with a true one within half a metre, where truth"
        " could tell; recall: share of the true ones, which a camera sees, with a predicted one;"
        " F: one number for both. More is better.",
    ),
    Word(
        "flicker",
        ("flicker",),
        "by how much depth of what stands still changes from one frame set to the next, with the"
        " vehicle's own motion taken out, as a share of the depth. Less is better.",
    ),
    Word("steady", ("steady",), "share of such points whose depth changes by less than 5 %."),
    Word(
        "embodied",
        ("embodied depth",),
        "what the camera's intrinsics, its mounting and the road's place in the image say of depth,"
        " without a depth network. Shown beside a network's, read at the same points.",
    ),
    Word("metric", ("metric",), "depth as it comes out, in metres, compared as it is."),
    Word(
        "median-scaled",
        ("median-scaled",),
        "each image multiplied so that its median is the LiDAR's: what a method without scale is"
        " scored by. Beside metric it tells wrong scale from wrong shape.",
    ),
    Word(
        "rig-scale",
        ("one scale a rig",),
        "as median-scaled, with one factor for all images of a frame set.",
    ),
    Word(
        "frame-set",
        ("frame set", "frame sets"),
        "the images of all cameras that belong to one instant.",
    ),
    Word(
        "edges",
        ("edges",),
        "neighbouring places whose depths differ by more than a factor of 1.25. Precision: share of"
        " the edges found that are true; recall: share of the true ones that were found; F1: one"
        " number for both. More is better.",
    ),
    Word(
        "attainable",
        ("attainable",),
        "the F1 of edges that truth itself reaches when it says no more than the depth image's"
        " pixels can. A depth image reaches so much of it, %.",
    ),
    Word(
        "nominal",
        ("nominal plane",),
        "the flat road as calibration and parameters place it, read at the points' exact positions:"
        " what calibration alone promises.",
    ),
    Word(
        "fitted",
        ("plane fitted to LiDAR",),
        "the plane that fits the scan's road best: about the most that a single plane can reach.",
    ),
    Word(
        "measured",
        ("Measured by motion", "measured by motion"),
        "depth from how things shift between images while the vehicle moves, and between cameras"
        " that see the same: measured, not guessed, and unknown where nothing can be measured.",
    ),
    Word("plane", ("plane",), "measured as a part of the road, whose slope motion measures."),
    Word("parallax", ("parallax",), "measured by its shift between images of one camera."),
    Word("overlap", ("overlap",), "measured by its place in the images of two cameras."),
    Word("range", ("range",), "measured by another sensor, such as a radar or a LiDAR."),
    Word("cover", ("cover",), "share of the truth that is measured, %."),
    Word("median-error", ("median %",), "half of what is measured is off by less than this."),
    Word("off", ("off 25 %",), "share of what is measured that is off by more than a quarter, %."),
    Word(
        "sigma",
        ("in 1 σ", "in 2 σ", "σ"),
        "σ is the standard deviation that comes with each measurement. Share of the errors that are"
        " within one, and within two: 68 and 95 % where it is honest.",
    ),
    Word("static", ("static",), "pixels of what stands still, by exact truth."),
    Word(
        "moving",
        ("moving",),
        "pixels of things that move by themselves, by exact truth. Their shift is not depth: they"
        " are to be left out, or right.",
    ),
    Word(
        "sky", ("sky",), "pixels of the sky, by exact truth: whatever is measured there is wrong."
    ),
    Word(
        "p95", ("p50", "p95"), "half of the frame sets, and 95 % of them, took no longer than this."
    ),
)

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

"""Charts: bars as long as their values, axes that say where they start, names that fit."""

import math
import xml.etree.ElementTree as ElementTree

import pytest

from depth_perception.evaluation.axes import WIDTH, share_start, ticks, width_of, zoomed_ticks
from depth_perception.evaluation.charts import Axis, Bar, BarGroup, Line, bar_chart, line_chart

SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg):
    return ElementTree.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" '))


def bars_of(svg):
    """Length of each bar in an SVG, and its text, in order; without a legend."""
    bars = []
    for group in parsed(svg).iter(f"{SVG}g"):
        rect = group.find(f"{SVG}rect")
        if rect is not None and "bar" in rect.get("class").split():
            bars.append((float(rect.get("width")), group.find(f"{SVG}text").text))
    return bars


def texts_of(svg):
    return [element.text for element in parsed(svg).iter(f"{SVG}text")]


def test_bars_are_as_long_as_their_values():
    groups = [BarGroup("a", [Bar(0, 0.1, "one"), Bar(0, 0.3, "three")]), BarGroup("b", [])]
    (one, _), (three, text) = bars_of(bar_chart(groups, "share", label="x"))
    assert three == pytest.approx(3 * one, rel=0.01) and text == "three"
    assert bar_chart([BarGroup("a", [Bar(0, math.nan, "")])], "share", label="x") == ""


def test_shares_that_are_all_high_get_an_axis_that_says_where_it_starts():
    assert share_start([0.988, 0.998, math.nan]) == 0.98
    assert share_start([0.5, 0.99]) == 0 and share_start([1.0, 1.0]) == 0 and share_start([]) == 0
    assert zoomed_ticks(0.98, 9) == pytest.approx([0.98, 0.985, 0.99, 0.995, 1.0])
    groups = [BarGroup("a", [Bar(0, 0.988, "98.8 %"), Bar(0, 0.998, "99.8 %")])]
    svg = bar_chart(groups, "A10", shares=True, label="x")
    (short, _), (long, _) = bars_of(svg)
    # 0.8 and 1.8 of the two hundredths that the axis shows.
    assert long / short == pytest.approx(18 / 8, rel=0.01)
    said = " ".join(texts_of(svg))
    assert "the axis starts at 98.0 %, not at zero" in said and 'class="broken"' in svg
    low = bar_chart(
        [BarGroup("a", [Bar(0, 0.5, ""), Bar(0, 0.99, "")])], "A", shares=True, label=""
    )
    assert "not at zero" not in low and 'class="broken"' not in low


def test_noise_does_not_fill_an_axis():
    groups = [BarGroup("a", [Bar(0, 1e-9, "0.000")])]
    (tiny, _), *_ = bars_of(bar_chart(groups, "AbsRel", least=0.01, label="x"))
    assert tiny == 1
    assert "0.010" in texts_of(bar_chart(groups, "AbsRel", least=0.01, label="x"))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 0.5, [0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        (-0.3, 0.3, [-0.2, 0, 0.2]),
        (1, 10, [2, 4, 6, 8, 10]),
        (3, 3, [3]),
    ],
)
def test_ticks_are_round_numbers(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_a_line_is_interrupted_where_nothing_is_known():
    axis = Axis("x, m", 0.0, 4.0, str)
    line = Line("", 0, [(0, 1.0), (1, 2.0), (2, math.nan), (3, 1.0), (4, 0.0)])
    [curve] = [
        path.get("d")
        for path in parsed(line_chart([line], axis, axis, label="x")).iter(f"{SVG}path")
        if path.get("class").startswith("curve")
    ]
    assert (curve.count("M"), curve.count("L")) == (2, 2)
    assert line_chart([Line("", 0, [(0, math.nan)])], axis, axis, label="x") == ""


@pytest.mark.parametrize("name", ["camera_" + "m" * 20, "camera_" + "m" * 90])
def test_names_that_do_not_fit_beside_bars_stand_above_them(name):
    groups = [BarGroup(name, [Bar(0, 1.0, "1.000"), Bar(1, 0.5, "0.500")])]
    svg = bar_chart(groups, "AbsRel", ("one", "two"), label="x")
    [written] = [text for text in parsed(svg).iter(f"{SVG}text") if text.get("class") == "strong"]
    assert float(written.get("x")) == 0 and width_of(written.text) <= WIDTH
    assert written.text == name or (written.text.startswith("camera_") and "…" in written.text)
    assert max(length for length, _ in bars_of(svg)) > 0.7 * WIDTH

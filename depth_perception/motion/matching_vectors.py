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

"""All depths of one pixel at once: the few steps of matching that the compiler must be told.

The costs of a pixel lie beside each other in memory, 16, 32, 48 or 64 of them. Numba does not make
one vector of so few on its own, so these functions are written in LLVM's vector instructions, which
every processor has, or LLVM splits into those that it has.

``lanes`` in all of them is a tuple of zeros, one for each 16 depths: the compiler sees its length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import extending, types
from numba.core import cgutils

intrinsic: Any = extending.intrinsic
"""Its functions are called without the first of their arguments."""
BLOCK = 16
"""Depths come in blocks of so many."""
INDEX_BITS = 6
"""Bits that number a depth: 64 at the most."""
LOOKED_UP = 8
"""So many pixels are looked up at once."""
MOST_DIFFERENT = 12
"""More of the 24 bits that differ say no more than this."""
SEEN = 256
"""Added to the bits that differ where a source sees the place."""


def blocks(planes: int) -> tuple[int, ...]:
    """Return the ``lanes`` of so many depths; raise ValueError where they are no whole blocks."""
    if planes % BLOCK or not 0 < planes <= 1 << INDEX_BITS:
        raise ValueError(f"{planes} depths: expected 16, 32, 48 or 64")
    return (0,) * (planes // BLOCK)


def _vector(bits: int, count: int) -> Any:
    return ir.VectorType(ir.IntType(bits), count)


def _data(context: Any, builder: Any, array_type: Any, array: Any, index: Any, kind: Any) -> Any:
    """Address of a vector that begins at an index of a flat array."""
    begin = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(begin, [index]), kind.as_pointer())


def _all(builder: Any, value: Any, count: int) -> Any:
    """A vector of one number."""
    kind = ir.VectorType(value.type, count)
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.IntType(32)(0))
    return builder.shuffle_vector(one, one, ir.Constant(_vector(32, count), [0] * count))


def _numbers(bits: int, count: int) -> Any:
    return ir.Constant(_vector(bits, count), list(range(count)))


def _lesser(builder: Any, one: Any, other: Any) -> Any:
    return builder.select(builder.icmp_unsigned("<", one, other), one, other)


def _least(builder: Any, vector: Any) -> Any:
    """The least number of a vector, as the tree of minima that LLVM knows an instruction for."""
    count = vector.type.count
    # 48 have no half of a half: the last 16 are folded in first.
    if count == 48:
        low, high = (
            builder.shuffle_vector(vector, vector, ir.Constant(_vector(32, 16), list(places)))
            for places in (range(16), range(16, 32))
        )
        last = builder.shuffle_vector(
            vector, vector, ir.Constant(_vector(32, 16), list(range(32, 48)))
        )
        vector = _lesser(builder, _lesser(builder, low, high), last)
        count = 16
    while count > 16:
        count //= 2
        low, high = (
            builder.shuffle_vector(
                vector, vector, ir.Constant(_vector(32, count), list(range(k, k + count)))
            )
            for k in (0, count)
        )
        vector = _lesser(builder, low, high)
    while count > 1:
        count //= 2
        places = [*range(count, 2 * count), *[0] * (vector.type.count - count)]
        mask = ir.Constant(_vector(32, vector.type.count), places)
        vector = _lesser(builder, vector, builder.shuffle_vector(vector, vector, mask))
    return builder.extract_element(vector, ir.IntType(32)(0))


@intrinsic
def step_along(_typing, values, read, write, cost, total, at, jump, small, lanes):  # type: ignore[no-untyped-def]
    """Take one step of semi-global matching: a pixel's path costs from those of the one before.

    Args:
        values: Flat uint8: path costs less their least; 255 where there is none.
        read: int64: where those of the pixel before begin, for the first depth of this one.
        write: int64: where those of this one are written.
        cost: Flat uint8, of this pixel from ``at`` on.
        total: Flat uint16 likewise, the path's costs are added.
        at: int64.
        jump: uint8: what a change by more than one step costs.
        small: uint8: what a change by one step costs, less than that.
        lanes: See above.
    """
    signature = types.void(values, read, write, cost, total, at, jump, small, lanes)

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        values, read, write, cost, total, at, jump, small, _ = arguments
        count = BLOCK * len(signature.args[-1])
        bytes_, words = _vector(8, count), _vector(16, count)

        def load(number: int, array: Any, index: Any, kind: Any) -> Any:
            place = _data(context, builder, signature.args[number], array, index, kind)
            return builder.load(place, align=1)

        one = read.type(1)
        here = load(0, values, read, bytes_)
        below = load(0, values, builder.sub(read, one), bytes_)
        above = load(0, values, builder.add(read, one), bytes_)
        # 255 plus a change would begin anew at zero: no more than a jump is looked at.
        rest, change = _all(builder, builder.sub(jump, small), count), _all(builder, small, count)
        beside = _lesser(builder, _lesser(builder, below, above), rest)
        best = _lesser(builder, here, builder.add(beside, change))
        path = builder.add(best, load(3, cost, at, bytes_))
        least = _all(builder, _least(builder, path), count)
        place = _data(context, builder, signature.args[0], values, write, bytes_)
        builder.store(builder.sub(path, least), place, align=1)
        place = _data(context, builder, signature.args[4], total, at, words)
        added = builder.add(builder.load(place, align=1), builder.zext(path, words))
        builder.store(added, place, align=1)
        return context.get_dummy_value()

    return signature, code


def _of_words(masked: Callable[[Any, Any, Any, int], Any]) -> Any:
    """Make an intrinsic that returns the least of a pixel's uint16 numbers, after a change."""

    def typed(_typing, total, at, number, lanes):  # type: ignore[no-untyped-def]
        def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            total, at, number, _ = arguments
            count = BLOCK * len(signature.args[-1])
            place = _data(context, builder, signature.args[0], total, at, _vector(16, count))
            words = builder.load(place, align=1)
            return _least(builder, masked(builder, words, _all(builder, number, count), count))

        return types.uint16(total, at, number, lanes), code

    return typed


@intrinsic
def least_of(_typing, total, at, number, lanes):  # type: ignore[no-untyped-def]
    """Return the least of the first ``number`` totals of a pixel, and which it is.

    Args:
        total: Flat uint16, each less than 1024, of this pixel from ``at`` on.
        at: int64.
        number: uint16: how many depths there are; the rest of the block is not looked at.
        lanes: See above.

    Returns:
        uint16: 64 times the total plus the depth's number; the first where several are least.
    """

    def numbered(builder, words, number, count):  # type: ignore[no-untyped-def]
        bits = ir.Constant(_vector(16, count), [INDEX_BITS] * count)
        numbers = _numbers(16, count)
        keys = builder.or_(builder.shl(words, bits), numbers)
        nothing = ir.Constant(_vector(16, count), [0xFFFF] * count)
        return builder.select(builder.icmp_unsigned("<", numbers, number), keys, nothing)

    return _of_words(numbered)(_typing, total, at, number, lanes)


@intrinsic
def least_apart(_typing, total, at, number, lanes):  # type: ignore[no-untyped-def]
    """Return the least total of those that are more than two steps from a pixel's best.

    Args:
        total: Flat uint16, of this pixel from ``at`` on; those that are no depths are large.
        at: int64.
        number: uint16: of the best.
        lanes: See above.

    Returns:
        uint16; 65535 where there is none.
    """

    def apart(builder, words, number, count):  # type: ignore[no-untyped-def]
        two, four = (ir.Constant(_vector(16, count), [value] * count) for value in (2, 4))
        # Within two steps: a number from 0 to 4, where less than none is large.
        off = builder.add(builder.sub(_numbers(16, count), number), two)
        nothing = ir.Constant(_vector(16, count), [0xFFFF] * count)
        return builder.select(builder.icmp_unsigned(">", off, four), words, nothing)

    return _of_words(apart)(_typing, total, at, number, lanes)


def _looked_up(cells: int, signature: Any) -> Any:
    """Make the code of `look_up_pairs` (4 cells) and `look_up_pixels` (8)."""
    each = LOOKED_UP // cells
    eight, words = _vector(32, LOOKED_UP), _vector(16, LOOKED_UP)

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        codes, at, inside, cell, columns, reference, pixel, seen, place = arguments
        long_, kind = ir.IntType(64), ir.IntType(32 * each)

        def address(number: int, array: Any, index: Any, kind: Any) -> Any:
            return _data(context, builder, signature.args[number], array, index, kind)

        first = builder.load(address(1, at, cell, _vector(32, cells)), align=1)
        first = builder.add(first, _all(builder, columns, cells))
        found = ir.Constant(_vector(32 * each, cells), ir.Undefined)
        for k in range(cells):
            index = builder.zext(builder.extract_element(first, ir.IntType(32)(k)), long_)
            one = builder.load(address(0, codes, index, kind), align=1)
            found = builder.insert_element(found, one, ir.IntType(32)(k))
        own = builder.load(address(5, reference, pixel, eight), align=1)
        differ = builder.xor(builder.bitcast(found, eight), own)
        count_type = ir.FunctionType(eight, [eight])
        count = cgutils.get_or_insert_function(builder.module, count_type, "llvm.ctpop.v8i32")
        few = _lesser(
            builder, builder.call(count, [differ]), ir.Constant(eight, [MOST_DIFFERENT] * LOOKED_UP)
        )
        few = builder.or_(few, ir.Constant(eight, [SEEN] * LOOKED_UP))
        mask = builder.load(address(2, inside, cell, _vector(32, cells)), align=1)
        wide = ir.Constant(_vector(32, LOOKED_UP), [k // each for k in range(LOOKED_UP)])
        few = builder.and_(few, builder.shuffle_vector(mask, mask, wide))
        out = address(7, seen, place, words)
        added = builder.add(builder.load(out, align=1), builder.trunc(few, words))
        builder.store(added, out, align=1)
        return context.get_dummy_value()

    return signature, code


@intrinsic
def look_up_pairs(_typing, codes, at, inside, cell, columns, reference, pixel, seen, place):  # type: ignore[no-untyped-def]
    """Compare four pairs of neighbours in a row with those of a source.

    Args:
        codes: Flat uint32: census of the source.
        at: Flat uint32: index in ``codes`` of each pair's left pixel.
        inside: Flat uint32: all bits set where the source sees the pair, else none.
        cell: int64: the first of the four in these.
        columns: uint32: added to the index.
        reference: Flat uint32: census of the eight pixels from ``pixel`` on.
        pixel: int64.
        seen: Flat uint16, added to from ``place`` on, where the source sees the pair: the bits that
            differ, and `SEEN`.
        place: int64.
    """
    names = (codes, at, inside, cell, columns, reference, pixel, seen, place)
    return _looked_up(LOOKED_UP // 2, types.void(*names))


@intrinsic
def look_up_pixels(_typing, codes, at, inside, cell, columns, reference, pixel, seen, place):  # type: ignore[no-untyped-def]
    """Compare eight pixels, each with its own place; else as `look_up_pairs`."""
    names = (codes, at, inside, cell, columns, reference, pixel, seen, place)
    return _looked_up(LOOKED_UP, types.void(*names))


@intrinsic
def mean_of(_typing, seen, begin, number, share, cost, at):  # type: ignore[no-untyped-def]
    """Write the mean of 16 sums of `look_up_pixels` where just so many sources see the place.

    Args:
        seen: Flat uint16, from ``begin`` on.
        begin: int64.
        number: uint16: of sources.
        share: uint16: what one of so many counts, in 256ths; a mean is less than 256.
        cost: Flat uint8, written from ``at`` on; elsewhere it stays as it is.
        at: int64.
    """
    signature = types.void(seen, begin, number, share, cost, at)

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        seen, begin, number, share, cost, at = arguments
        words, bytes_ = _vector(16, BLOCK), _vector(8, BLOCK)

        def each(value: int) -> Any:
            return ir.Constant(words, [value] * BLOCK)

        place = _data(context, builder, signature.args[0], seen, begin, words)
        sums = builder.load(place, align=1)
        bits = builder.and_(sums, each(SEEN - 1))
        mean = builder.add(builder.mul(bits, _all(builder, share, BLOCK)), each(128))
        mean = builder.trunc(builder.lshr(mean, each(8)), bytes_)
        count = builder.udiv(sums, each(SEEN))
        there = builder.icmp_unsigned("==", count, _all(builder, number, BLOCK))
        place = _data(context, builder, signature.args[4], cost, at, bytes_)
        before = builder.load(place, align=1)
        builder.store(builder.select(there, mean, before), place, align=1)
        return context.get_dummy_value()

    return signature, code


@intrinsic
def turn(_typing, source, begin, width, target, at, planes):  # type: ignore[no-untyped-def]
    """Copy the numbers of 16 pixels at 16 depths, from depth by depth to pixel by pixel.

    Args:
        source: Flat uint8: the first pixel's at the first depth is at ``begin``.
        begin: int64.
        width: int64: from one depth to the next.
        target: Flat uint8: the first is written at ``at``.
        at: int64.
        planes: int64: from one pixel to the next.
    """
    signature = types.void(source, begin, width, target, at, planes)

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        source, begin, width, target, at, planes = arguments
        kind = _vector(8, BLOCK)
        rows = []
        for _ in range(BLOCK):
            place = _data(context, builder, signature.args[0], source, begin, kind)
            rows.append(builder.load(place, align=1))
            begin = builder.add(begin, width)
        lower, upper = (
            ir.Constant(
                _vector(32, BLOCK),
                [k for j in range(half, half + BLOCK // 2) for k in (j, j + BLOCK)],
            )
            for half in (0, BLOCK // 2)
        )
        # Each round shuffles the first half of the rows with the second, as one does with cards.
        for _ in range(BLOCK.bit_length() - 1):
            pairs = list(zip(rows[: BLOCK // 2], rows[BLOCK // 2 :], strict=True))
            rows = [
                builder.shuffle_vector(one, other, mask)
                for one, other in pairs
                for mask in (lower, upper)
            ]
        for row in rows:
            place = _data(context, builder, signature.args[3], target, at, kind)
            builder.store(row, place, align=1)
            at = builder.add(at, planes)
        return context.get_dummy_value()

    return signature, code

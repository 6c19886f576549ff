"""The tensor shapes that a model ever sees: few, so that memory stays bounded. Pure functions.

OpenVINO keeps compiled kernels and buffers for every shape that it has run, so sizes are rounded up to a grid. The grid
is fine where rounding costs work (tokens) and coarse where it costs little (rows, and the length of rows when only
attention sees them).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Up to each bound (inclusive), sizes are multiples of the step beside it.
_TOKEN_STEPS = ((64, 4), (128, 8), (512, 16), (1024, 32))
_LENGTH_STEPS = ((64, 8), (128, 16), (256, 32), (512, 64))
_LAST_STEP = 128

# Rows that texts share are this long where no text is longer: with shorter ones more rows cost more than their length
# saves, and longer ones were no faster (batches of mixed texts, two AMD cores).
_JOINED_LENGTH = 48
# So many rows and fewer are not rounded up.
_EXACT_ROWS = 8


def round_tokens(tokens: int) -> int:
    """Gives the number of tokens, padding included, that packed texts of `tokens` tokens together take."""
    return _round_up(tokens, _TOKEN_STEPS)


def round_length(tokens: int) -> int:
    """Gives the length of the rows that hold texts of up to `tokens` tokens, where only attention works on rows."""
    return _round_up(tokens, _LENGTH_STEPS)


def round_rows(texts: int) -> int:
    """Gives the number of rows that hold `texts` texts: 1, 2, 3, 4, 6, 8, 12, 16, 24, ..."""
    power = 1 << max(0, texts.bit_length() - 1)
    return next(size for size in (power, power + power // 2, 2 * power) if size >= texts)


def _round_up(size: int, steps: Sequence[tuple[int, int]]) -> int:
    step = next((step for bound, step in steps if size <= bound), _LAST_STEP)
    return -(-size // step) * step


@dataclass(frozen=True, slots=True)
class BatchLayout:
    """Where the tokens of a batch lie in its rows.

    Attributes:
        shape: rows and their length.
        positions: `[tokens] int64`: index of each real token, text by text, in the flattened rows.
    """

    shape: tuple[int, int]
    positions: NDArray[np.int64]

    def packed_positions(self) -> NDArray[np.int64]:
        """Gives `positions`, filled up with zeros to a number of tokens on the grid."""
        filled = np.zeros(round_tokens(len(self.positions)), np.int64)
        filled[: len(self.positions)] = self.positions
        return filled

    def packed_rows(self) -> NDArray[np.int64]:
        """Gives the index of each place of the rows among the real tokens, `[rows, length] int64`.

        Padding is given tokens of any text: a graph that reads it goes visibly wrong, and golden values find it out.
        """
        tokens = len(self.positions)
        rows = np.arange(self.shape[0] * self.shape[1]) % tokens
        rows[self.positions] = np.arange(tokens)
        return rows.reshape(self.shape)


@dataclass(frozen=True, slots=True)
class JoinedLayout(BatchLayout):
    """Where the tokens of a batch lie in rows that texts share.

    Attributes:
        texts: `[rows, length] int64`: number of the text at each place, from 1; 0 for padding.
    """

    texts: NDArray[np.int64]


def join_texts(lengths: Sequence[int], max_tokens: int) -> JoinedLayout:
    """Puts texts of these token counts into rows: the longest first, each into the first row that has room.

    Args:
        lengths: tokens of each text.
        max_tokens: longest row, unless a text is longer.
    """
    longest = max(lengths)
    length = max(round_length(longest), min(_JOINED_LENGTH, round_length(sum(lengths))))
    length = max(longest, min(length, max_tokens))
    room: list[int] = []
    row_of, start_of = [0] * len(lengths), [0] * len(lengths)
    for text in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        tokens = lengths[text]
        row = next((row for row, left in enumerate(room) if left >= tokens), len(room))
        if row == len(room):
            room.append(length)
        row_of[text], start_of[text] = row, length - room[row]
        room[row] -= tokens
    rows = len(room) if len(room) <= _EXACT_ROWS else round_rows(len(room))
    counts = np.array(lengths, np.int64)
    before = np.cumsum(counts) - counts
    starts = np.array(row_of) * length + np.array(start_of) - before
    positions = np.repeat(starts, counts) + np.arange(counts.sum())
    texts = np.zeros(rows * length, np.int64)
    texts[positions] = np.repeat(np.arange(1, len(lengths) + 1), counts)
    return JoinedLayout((rows, length), positions, texts.reshape(rows, length))


def lay_out(lengths: Sequence[int], shape: tuple[int, int]) -> BatchLayout:
    """Puts each text of these token counts at the start of a row of its own."""
    counts = np.array(lengths, np.int64)
    ends = np.cumsum(counts)
    # Where a text's row starts, less the tokens before it, plus the number of the token itself.
    starts = np.arange(len(counts)) * shape[1] - (ends - counts)
    return BatchLayout(shape, np.repeat(starts, counts) + np.arange(ends[-1]))

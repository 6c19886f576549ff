"""Sentiment of the texts in a data frame. Needs the extra: `pip install "sentinova[pandas]"`.

    from sentinova.pandas import analyze_column

    with Client() as client:
        answers = analyze_column(reviews, "text", client=client)
    reviews = pandas.concat([reviews, answers], axis="columns")

Knows data frames. Must not know calls: `sentinova.scoring` makes them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from sentinova.client import Client
from sentinova.conversion import LongText, Outcome
from sentinova.errors import InvalidArgumentError, SentinovaError
from sentinova.scoring import Entry, Scorer, describe

try:
    import pandas as pd
except ModuleNotFoundError as missing:
    if missing.name != "pandas":
        raise
    raise ModuleNotFoundError(
        'sentinova.pandas needs pandas: pip install "sentinova[pandas]"', name="pandas"
    ) from missing

_TYPES = {"label": "string", "score": "float64", "version": "Int64", "truncated": "boolean", "error": "string"}


def analyze_column(
    frame: pd.DataFrame,
    column: Any,
    *,
    client: Client,
    model: str | None = None,
    version: int | None = None,
    label: str | None = None,
    long_text: LongText = "error",
    priority: int = 0,
    routing_key: str = "",
    timeout: float | None = None,
) -> pd.DataFrame:
    """Analyzes the texts of a column, a few calls of many texts at a time.

    A server that is busy, or away for a while, is waited for.

    Args:
        frame: The data frame; it stays as it is.
        column: Name of the column with the texts.
        client: The client that makes the calls; an `AsyncClient` cannot.
        model: Name of the model; None: the server's default.
        version: Version of the model; None: what the model's weights choose, or else the highest available.
        label: Label of the version ("stable", "canary"), in place of its number.
        long_text: Whether a text of more tokens than the model reads is an "error", or is cut ("truncate").
        priority: Level of priority, 1 the highest; 0: the model's default. Models without levels take only 0.
        routing_key: Where weights choose the version: the same key, the same version. Empty: each call is chosen for by
            itself.
        timeout: Deadline of a call, and the longest wait for a server that is busy or away, in seconds; None: the
            client's.

    Returns:
        A data frame with the index of `frame`, row by row, and these columns. Where a text is missing, all of its
        values are.

        label (string): the class with the highest score; missing where there is an error.
        score (float64): the score of the label, from 0 to 1; NaN where there is an error.
        version (Int64): the version of the model that answered.
        truncated (boolean): whether the text was cut.
        error (string): why there is no label: a reason in UPPER_SNAKE_CASE, a colon, and words.

    Raises:
        KeyError: The frame has no such column.
        ValueError: The frame has more than one such column; or `version` and `label` are both given.
        TypeError: `client` is no `Client`.
        SentinovaError: A call failed; there are no answers then.
    """
    if not isinstance(client, Client):
        raise TypeError(f"client must be a sentinova.Client, not {type(client).__name__}")
    texts = frame[column]
    if texts.ndim != 1:
        raise ValueError(f"the frame has more than one column {column!r}")
    analyze = functools.partial(
        client.analyze_batch,
        model=model,
        version=version,
        label=label,
        long_text=long_text,
        priority=priority,
        routing_key=routing_key,
        timeout=timeout,
    )
    scorer = Scorer(analyze, client.timeout if timeout is None else timeout)
    rows: list[tuple[Any, ...]] = [(None,) * len(_TYPES)] * len(texts)
    with closing(scorer.score(_entries(texts))) as scores:
        for scored in scores:
            for place, outcome in scored:
                rows[place] = _values(outcome)
    return pd.DataFrame(rows, index=frame.index, columns=list(_TYPES)).astype(_TYPES)


def _entries(texts: pd.Series) -> Iterator[Entry[int]]:
    for place, value in enumerate(texts):
        if isinstance(value, str):
            yield Entry(place, value, len(value))
        elif not pd.api.types.is_scalar(value) or not pd.isna(value):
            message = f"the value is of the type {type(value).__name__}, not a text"
            yield Entry(place, InvalidArgumentError(message, reason="TEXT_NOT_STRING"), 0)


def _values(outcome: Outcome) -> tuple[Any, ...]:
    if isinstance(outcome, SentinovaError):
        return None, None, None, None, describe(outcome)
    return outcome.label, outcome.score, outcome.version, outcome.truncated, None

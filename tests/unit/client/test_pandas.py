"""The column of a data frame: rows stay where they are, and what has no answer says why."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from fake_server import DOWN, FULL
from pandas.testing import assert_frame_equal
from sentinova import AsyncClient, Client, NotFoundError, SentinovaError
from sentinova.pandas import analyze_column

TYPES = {"label": "string", "score": "float64", "version": "Int64", "truncated": "boolean", "error": "string"}


@pytest.fixture
def client(server):
    with Client(server.address) as client:
        yield client


def types_of(frame) -> dict:
    return {name: str(each) for name, each in frame.dtypes.items()}


def test_every_row_gets_its_answer(client):
    frame = pd.DataFrame({"text": ["good", "bad", "good " * 40], "n": [1, 2, 3]}, index=[7, 3, 5])
    before = frame.copy()
    answers = analyze_column(frame, "text", client=client, long_text="truncate")
    expected = pd.DataFrame(
        {
            "label": ["positive", "negative", "positive"],
            "score": [0.75] * 3,
            "version": [2] * 3,
            "truncated": [False, False, True],
            "error": [None] * 3,
        },
        index=[7, 3, 5],
    ).astype(TYPES)
    assert_frame_equal(answers, expected)
    assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    "index",
    [
        pd.Index(["a", "a", "b", "a"]),
        pd.MultiIndex.from_product([[1, 2], ["x", "y"]]),
        pd.date_range("2024-01-01", periods=4),
    ],
    ids=["repeated", "of two levels", "of dates"],
)
def test_the_index_is_kept(client, index):
    frame = pd.DataFrame({"text": ["good", "bad", "", "bad"]}, index=index)
    both = pd.concat([frame, analyze_column(frame, "text", client=client)], axis="columns", sort=False)
    assert both.index.equals(index)
    assert both["label"].fillna("-").tolist() == ["positive", "negative", "-", "negative"]


def test_missing_values_are_missing(client, behaviour):
    frame = pd.DataFrame({"text": ["good", None, np.nan, pd.NA, pd.NaT]}, dtype=object)
    answers = analyze_column(frame, "text", client=client)
    assert answers["label"].tolist()[0] == "positive"
    assert answers.iloc[1:].isna().all(axis=None)
    assert types_of(answers) == TYPES
    assert behaviour.documents == 1


def test_what_has_no_answer_says_why(client):
    frame = pd.DataFrame({"text": ["", 7, ["good"], "\ud800", True]}, dtype=object)
    answers = analyze_column(frame, "text", client=client)
    reasons = answers["error"].str.split(":").str[0].tolist()
    assert reasons == ["TEXT_EMPTY", "TEXT_NOT_STRING", "TEXT_NOT_STRING", "TEXT_NOT_UNICODE", "TEXT_NOT_STRING"]
    assert answers.drop(columns="error").isna().all(axis=None)


@pytest.mark.parametrize("kind", ["string", "category", object])
def test_every_type_of_text(client, kind):
    frame = pd.DataFrame({"text": pd.Series(["good", None, "bad"], dtype=kind)})
    assert analyze_column(frame, "text", client=client)["label"].fillna("-").tolist() == ["positive", "-", "negative"]


@pytest.mark.parametrize("frame", [pd.DataFrame({"text": []}), pd.DataFrame({"text": [None, None]})])
def test_a_column_without_texts(client, behaviour, frame):
    answers = analyze_column(frame, "text", client=client)
    assert types_of(answers) == TYPES
    assert answers.index.equals(frame.index)
    assert not behaviour.calls


def test_a_long_column_is_sent_in_parts(client, behaviour):
    texts = [f"{'bad' if number % 3 else 'good'} {number}" for number in range(5000)]
    answers = analyze_column(pd.DataFrame({"text": texts}), "text", client=client)
    assert (answers["label"] == ["negative" if number % 3 else "positive" for number in range(5000)]).all()
    assert behaviour.calls["BatchAnalyzeSentiment"] > 10


def test_what_was_asked_for_is_sent(client, behaviour):
    frame = pd.DataFrame({"text": ["good"]})
    answers = analyze_column(
        frame, "text", client=client, model="m", version=7, routing_key="k", priority=2, timeout=5.0
    )
    config = behaviour.configs[-1]
    assert (config.model, config.version, config.routing_key, config.priority) == ("m", 7, "k", 2)
    assert behaviour.limits[-1] < 10.0
    assert answers["version"].tolist() == [7]


@pytest.mark.parametrize("failure", [FULL, DOWN])
def test_a_server_that_is_busy_for_a_moment_is_waited_for(client, behaviour, failure):
    behaviour.failures = [failure] * 2
    assert analyze_column(pd.DataFrame({"text": ["good"]}), "text", client=client)["label"].tolist() == ["positive"]


def test_a_failed_call_is_raised(client):
    with pytest.raises(NotFoundError):
        analyze_column(pd.DataFrame({"text": ["good"]}), "text", client=client, model="nope")


def test_a_server_that_goes_away_is_not_waited_for_for_ever(client, behaviour):
    behaviour.hang = True
    with pytest.raises(SentinovaError):
        analyze_column(pd.DataFrame({"text": ["good"]}), "text", client=client, timeout=0.1)


def test_wrong_arguments_are_refused(client, server):
    frame = pd.DataFrame({"text": ["good"]})
    with pytest.raises(KeyError):
        analyze_column(frame, "body", client=client)
    with pytest.raises(ValueError, match="more than one column"):
        analyze_column(pd.concat([frame, frame], axis="columns"), "text", client=client)
    with pytest.raises(TypeError, match="not AsyncClient"):
        analyze_column(frame, "text", client=AsyncClient(server.address))
    with pytest.raises(ValueError, match="not both"):
        analyze_column(frame, "text", client=client, version=1, label="stable")


def test_without_pandas_it_says_what_to_install():
    code = """
        import sys
        sys.modules["pandas"] = None
        import sentinova.client
        try:
            import sentinova.pandas
        except ImportError as error:
            print(error)
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", "\n".join(line[8:] for line in code.splitlines())]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == 'sentinova.pandas needs pandas: pip install "sentinova[pandas]"\n'

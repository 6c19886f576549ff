"""Parsing, splitting and guarding of sentences; what a user's own table may look like."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentinova_training import dataset
from sentinova_training.dataset import Example, SplitPlan
from sentinova_training.errors import RecipeError


def example(text: str, label: int | None = 1, source: str = "s", group: str | None = None) -> Example:
    return Example(text, (0.5, 0.5), label, source, f"{source}:{group or text}")


def test_normalised_texts_ignore_case_marks_and_spacing():
    assert (
        dataset.normalise("Fish &amp; chips -- GREAT!")
        == dataset.normalise("fish & chips: great")
        == "fish chips great"
    )
    assert dataset.normalise("It's GREAT!!") == dataset.normalise(" it's   great ")


@pytest.mark.parametrize(("mean", "label"), [(0.5, 1), (3.9, 1), (-0.5, 0), (0.49, None), (-0.49, None), (0.0, None)])
def test_ratings_below_the_margin_have_no_label(mean: float, label: int | None):
    (parsed,) = dataset.parse_ratings(f"1\t{mean}\tSome text\r\n", "movie", sharpness=1.5)
    assert parsed.label == label
    assert sum(parsed.target) == pytest.approx(1.0)
    assert (parsed.target[1] > 0.5) == (mean > 0)


def test_sentences_of_one_document_form_a_group():
    parsed = dataset.parse_ratings("7_1\t1.0\tFirst.\n7_2\t-1.0\tSecond.\n8_1\t1\tThird.\n", "amazon", 1.5)
    assert [e.group for e in parsed] == ["amazon:7", "amazon:7", "amazon:8"]


def test_entities_are_resolved_and_odd_line_ends_do_not_split():
    parsed = dataset.parse_ratings("1\t1\tsalt &amp; vinegar\x85still one line\r\n", "tweets", 1.5)
    assert [e.text for e in parsed] == ["salt & vinegar\x85still one line"]


def test_a_line_of_another_form_is_named():
    with pytest.raises(RecipeError, match="movie, line 2"):
        dataset.parse_ratings("1\t1.0\tGood.\nno tabs here\n", "movie", 1.5)


def test_rated_words_train_without_a_label():
    parsed = dataset.parse_lexicon(":-)\t1.3\t0.9\t[1, 2]\r\nawful\t-2.0\t0.6\t[-2]\n", 1.5)
    assert [(e.text, e.label, e.source) for e in parsed] == [(":-)", None, "lexicon"), ("awful", None, "lexicon")]
    assert parsed[0].target[1] > 0.5 > parsed[1].target[1]
    with pytest.raises(RecipeError, match="lexicon, line 1"):
        dataset.parse_lexicon("awful -2.0\n", 1.5)


def test_the_external_source_drops_its_empty_last_entry():
    content = '[{"text": "Nice. ", "class": 1}, {"text": "", "class": null}]'
    (only,) = dataset.parse_external(content, "external-yelp")
    assert (only.text, only.label, only.target) == ("Nice.", 1, (0.0, 1.0))


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 40), st.integers(0, 5)), min_size=1, max_size=120),
    st.integers(0, 1000),
)
def test_a_split_is_whole_deterministic_and_keeps_groups_together(rows: list[tuple[str, int, int]], seed: int):
    examples = [example(f"text {i}", source=s, group=str(g)) for i, (s, g, _) in enumerate(rows)]
    plan = SplitPlan(seed=seed)
    parts = dataset.split(examples, plan)
    assert parts == dataset.split(list(reversed(examples)), plan)
    assert Counter(e.text for part in parts.values() for e in part) == Counter(e.text for e in examples)
    groups = [{e.group for e in part} for part in parts.values()]
    assert sum(map(len, groups)) == len(set.union(*groups))


def test_shares_are_met_within_each_source():
    examples = [example(f"{s} {i}", source=s) for s in "ab" for i in range(1000)]
    parts = dataset.split(examples, SplitPlan(dev=0.08, test=0.12))
    for source in "ab":
        found = {name: sum(e.source == source for e in part) for name, part in parts.items()}
        assert found == {"test": 120, "dev": 80, "train": 800}


@given(st.lists(st.sampled_from(["A", "a!", "b", "B.", "c", "d", "", "?"]), max_size=30))
def test_no_text_of_a_test_split_is_left_in_training(texts: list[str]):
    third = len(texts) // 3
    parts = {
        "train": [example(t) for t in texts[:third]],
        "dev": [example(t) for t in texts[third : 2 * third]],
        "test": [example(t) for t in texts[2 * third :]],
    }
    external = [example("d", source="external-yelp")]
    guarded = dataset.guarded(parts, external)
    keys = {name: [dataset.normalise(e.text) for e in part] for name, part in guarded.items()}
    assert not set(keys["train"]) & {*keys["dev"], *keys["test"], *keys["external"]}
    assert not set(keys["dev"]) & {*keys["test"], *keys["external"]}
    assert len(keys["train"]) == len(set(keys["train"]))


def test_undecided_sentences_are_never_tested_on():
    parts = {"train": [], "dev": [], "test": [example("a", None), example("b")]}
    assert [e.text for e in dataset.guarded(parts, [])["test"]] == ["b"]


def test_splits_survive_writing_and_reading(tmp_path: Path):
    examples = [example("ünï \u2028 code", None), example('with "quotes"\tand tabs', 0)]
    dataset.write(examples, tmp_path / "train.jsonl")
    assert dataset.read(tmp_path / "train.jsonl") == examples


def test_a_missing_split_names_the_step_to_run(tmp_path: Path):
    with pytest.raises(RecipeError, match="prepare"):
        dataset.read(tmp_path / "train.jsonl")


def table(tmp_path: Path, content: bytes, name: str = "data.tsv") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_a_users_table_is_read_with_its_own_columns(tmp_path: Path):
    path = table(tmp_path, b'review,verdict\n"Good, cheap",yes\n"Said ""no""",no\n', "mine.csv")
    examples, labels = dataset.read_table(path, "review", "verdict", None)
    assert labels == ("no", "yes")
    assert [(e.text, e.label, e.target) for e in examples] == [
        ("Good, cheap", 1, (0.0, 1.0)),
        ('Said "no"', 0, (1.0, 0.0)),
    ]


def test_tabs_separate_and_quotes_mean_nothing_in_a_tsv(tmp_path: Path):
    path = table(tmp_path, '\ufefftext\tlabel\n"so called" good\tpos\nbad "\tneg\n'.encode())
    examples, _ = dataset.read_table(path, "text", "label", ["neg", "pos"])
    assert [e.text for e in examples] == ['"so called" good', 'bad "']


@pytest.mark.parametrize(
    ("content", "name", "complaint"),
    [
        (b"", "data.tsv", "is empty"),
        (b"text\tlabel\n", "data.tsv", "no rows"),
        (b"text\tlabel\ngood\n", "data.tsv", "line 2: column 'label' is empty"),
        (b"text\tlabel\n\tpos\n", "data.tsv", "line 2: column 'text' is empty"),
        (b"words\tlabel\ngood\tpos\n", "data.tsv", "no column 'text'; it has words, label"),
        (b"text\tlabel\ngood\tpos\nbad\tngtv\n", "data.tsv", "line 3: unknown label 'ngtv'"),
        (b"text\tlabel\ncaf\xe9\tpos\n", "data.tsv", "byte 14 is not UTF-8"),
        (b"text\tlabel\ngood\tpos\n", "data.txt", "name it .tsv or .csv"),
    ],
)
def test_a_faulty_table_is_refused_with_its_place(tmp_path: Path, content: bytes, name: str, complaint: str):
    with pytest.raises(RecipeError, match=complaint) as caught:
        dataset.read_table(table(tmp_path, content, name), "text", "label", ["neg", "pos"])
    assert name in str(caught.value)


def test_one_label_alone_is_refused(tmp_path: Path):
    with pytest.raises(RecipeError, match="one label only"):
        dataset.read_table(table(tmp_path, b"text\tlabel\na\tpos\nb\tpos\n"), "text", "label", None)


def test_an_absent_table_is_named(tmp_path: Path):
    with pytest.raises(RecipeError, match="no such file"):
        dataset.read_table(tmp_path / "none.csv", "text", "label", None)

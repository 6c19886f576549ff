"""Tables of texts: each format is read as it is meant, and each fault is named with its place."""

import pytest
from sentinova_server.errors import LoadError
from sentinova_server.runtime.text_table import TextRow, number_labels, read_texts

FILES = {
    "plain.txt": "good film\n\n  \nbad, film\n",
    "table.csv": 'id,text,label\n1,"good ""film"", really\nyes",positive\n2,,negative\n3,bad\n4,"fine", 0 \n',
    "table.tsv": 'text\tlabel\n"good film\tpositive\nit\'s "bad"\t\n',
    "lines.jsonl": '{"text": "good", "label": 1}\n\n{"text": "bad", "label": null}\n{"text": "so", "label": "negative"}\n'
    '{"text": " "}\n{"text": "x", "label": ""}\n',
}
ROWS = {
    "plain.txt": [("good film", None, 1), ("bad, film", None, 4)],
    "table.csv": [('good "film", really\nyes', "positive", 3), ("bad", None, 5), ("fine", "0", 6)],
    "table.tsv": [('"good film', "positive", 2), ('it\'s "bad"', None, 3)],
    "lines.jsonl": [("good", "1", 1), ("bad", None, 3), ("so", "negative", 4), ("x", None, 6)],
}


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return write


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", FILES)
def test_texts_and_labels_are_read(write, name, mark):
    file = write(name, mark + FILES[name].encode())
    assert read_texts(file, "text", "label") == [TextRow(*row) for row in ROWS[name]]


def test_extensions_may_be_written_large_and_lines_may_end_in_any_way(write):
    assert [row.text for row in read_texts(write("TEXTS.TXT", "a\r\nb\rc"), "text", "label")] == ["a", "b", "c"]


def test_columns_may_have_any_name(write):
    file = write("reviews.csv", "stars,review\n5,good\n")
    assert read_texts(file, "review", "stars") == [TextRow("good", "5", 2)]
    # The usual name of the label may be missing; one that somebody gave may not.
    assert read_texts(file, "review", "label") == [TextRow("good", None, 2)]


def test_a_long_document_is_one_field(write):
    text = "word " * 100_000
    assert read_texts(write("long.csv", f"text\n{text}\n"), "text", "label")[0].text == text


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("texts.parquet", "x", "ends in one of .txt, .csv, .tsv, .jsonl"),
        ("none.txt", None, "No such file"),
        ("empty.txt", "", "has no texts"),
        ("empty.csv", "", "has no column 'text'"),
        ("blank.csv", "text\n \n", "has no texts"),
        ("blank.jsonl", "\n", "has no texts"),
        ("latin.txt", b"good\ncaf\xe9", "line 2 is not UTF-8 text"),
        ("wrong.csv", "review,label\na,b\n", "line 1: has no column 'text', only ['review', 'label']: name one by --text"),
        ("open.csv", 'text\n"never ends\n', "line 2: unexpected end of data"),
        ("wrong.jsonl", '{"text": "a"}\n{"review": "b"}\n', "line 2: has no text under the key 'text', only ['review']"),
        ("number.jsonl", '{"text": 1}\n', "line 1: has no text under the key 'text'"),
        ("list.jsonl", "[1]\n", "line 1: has no text under the key 'text', only no object"),
        ("broken.jsonl", '{"text": "a"}\n{"text": \n', "line 2 is not JSON"),
    ],
)  # fmt: skip
def test_faults_are_named(write, tmp_path, name, content, told):
    file = tmp_path / name if content is None else write(name, content)
    with pytest.raises(LoadError) as error:
        read_texts(file, "text", "label")
    assert str(file) in str(error.value)
    assert told in str(error.value)


@pytest.mark.parametrize(("name", "content"), [("a.csv", "text\nx\n"), ("a.jsonl", '{"text": "x"}\n')])
def test_a_label_column_that_was_asked_for_must_be_there(write, name, content):
    with pytest.raises(LoadError, match=r"'stars', only \['text'\]: name one by --label-column"):
        read_texts(write(name, content), "text", "stars")


def test_labels_are_names_or_numbers(tmp_path):
    rows = [TextRow("a", label, 1) for label in ("negative", "1", None, "positive", "0")]
    assert number_labels(tmp_path, rows, ["negative", "positive"]) == [0, 1, None, 1, 0]
    # A class that is called by a number means itself.
    assert number_labels(tmp_path, rows[1:2], ["1", "2"]) == [0]


@pytest.mark.parametrize("label", ["neutral", "2", "-1", "True", "Negative"])
def test_a_label_that_the_model_lacks_is_named(tmp_path, label):
    with pytest.raises(LoadError, match=f"line 7: label '{label}' is none of the model's: use negative, positive"):
        number_labels(tmp_path / "a.csv", [TextRow("a", label, 7)], ["negative", "positive"])

"""Tables in files: what is read is what is written, row by row, and what is wrong is named with its line."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentinova import tables
from sentinova.survey import Guard, survey
from sentinova.tables import CsvReader, CsvWriter, JsonReader, JsonWriter, Lines, Place, TableError

ADDED = ("label", "score", "error")
VALUES = ("positive", 0.75, None)
# Whatever UTF-8 can carry; fields hold delimiters, quotes and line ends too.
texts = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(
    ['"', "a,b", "a\nb", "a\r\nb", "\t", " ", ""]
)


@pytest.fixture(autouse=True)
def field_size_limit():
    """Takes back what readers set for the whole process."""
    limit = csv.field_size_limit()
    yield
    csv.field_size_limit(limit)


def rows_of(reader, content: bytes, place: Place | None = None):
    return list(reader.rows(Lines(io.BytesIO(content), place or Place())))


def error_of(content: bytes, reader=None, column="text", added=ADDED) -> str:
    with pytest.raises(TableError) as caught:
        look(content, reader, column, added)
    return str(caught.value)


def look(content: bytes, reader=None, column="text", added=ADDED):
    return survey(
        FileLike(content),
        reader or CsvReader(","),
        column=column,
        added=added,
        check=lambda _: None,
        advance=lambda _: None,
    )


class FileLike(io.BytesIO):
    """Bytes in memory that have a file descriptor, for their stamp."""

    def fileno(self) -> int:
        return 0


def csv_content(rows, delimiter=",", newline="\r\n") -> bytes:
    out = io.StringIO()
    # (without a carriage return at the end of lines, the module does not quote one in a field)
    quoting = csv.QUOTE_MINIMAL if newline == "\r\n" else csv.QUOTE_ALL
    csv.writer(out, delimiter=delimiter, lineterminator=newline, quoting=quoting).writerows(rows)
    return out.getvalue().encode()


@given(
    rows=st.lists(st.lists(texts, min_size=2, max_size=2), max_size=6),
    delimiter=st.sampled_from([",", "\t", ";"]),
    newline=st.sampled_from(["\n", "\r\n"]),
    mark=st.booleans(),
)
def test_rows_of_csv_keep_every_value(rows, delimiter, newline, mark):
    content = b"\xef\xbb\xbf" * mark + csv_content([["text", "other"], *rows], delimiter, newline)
    found = look(content, CsvReader(delimiter))
    assert (found.rows, found.byte_order_mark, found.newline) == (len(rows), mark, newline)
    assert found.columns == ("text", "other")
    writer = CsvWriter(found.columns, ADDED, delimiter=delimiter, newline=newline, byte_order_mark=mark)
    read = rows_of(CsvReader(delimiter), content, found.first)
    written = writer.header() + b"".join(writer.line(row, VALUES) for row in read)
    again = list(csv.reader(io.StringIO(written.decode("utf-8-sig"), newline=""), delimiter=delimiter))
    assert again == [["text", "other", *ADDED], *([*row, "positive", "0.75", ""] for row in rows)]
    assert written.startswith(b"\xef\xbb\xbf") is mark


@given(
    st.lists(
        st.dictionaries(
            texts,
            st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | texts, lambda own: st.lists(own) | st.dictionaries(texts, own), max_leaves=4),
            max_size=4,
        )
    ),
    st.booleans(),
)  # fmt: skip
def test_objects_are_kept_as_they_are_written(objects, ascii_only):
    lines = [json.dumps(each, ensure_ascii=ascii_only) for each in objects]
    writer = JsonWriter((), ("new label", "new score", "new error"))
    for row, source in zip(rows_of(JsonReader(), "\n".join(lines).encode()), lines, strict=True):
        written = writer.line(row, VALUES).decode()
        assert written.startswith(source[:-1])
        assert written.endswith('"new label": "positive", "new score": 0.75, "new error": null}\n')
        json.loads(written)


@given(rows=st.lists(st.lists(texts, min_size=1, max_size=3), min_size=1, max_size=8), data=st.data())
def test_reading_goes_on_at_any_row(rows, data):
    content = csv_content(rows)
    read = rows_of(CsvReader(","), content)
    assert [row.fields for row in read] == rows
    assert sum(row.size for row in read) == len(content)
    row = data.draw(st.sampled_from(read))
    rest = rows_of(CsvReader(","), content, row.after)
    assert [(each.line, each.fields) for each in rest] == [
        (each.line, each.fields) for each in read if each.line > row.line
    ]


def test_numbers_keep_their_digits():
    source = (
        b'{"a": 1.10, "b": 12345678901234567890.1234567890123, "c": [1e400, NaN, {"d": 1.0}], "e": true, "text": "x"}'
    )
    (row,) = rows_of(JsonReader(), source)
    assert JsonWriter((), ADDED).line(row, VALUES).startswith(source[:-1])
    assert row.cells("abce") == ["1.10", "12345678901234567890.1234567890123", '[1e400, NaN, {"d": 1.0}]', "true"]


def test_short_rows_are_filled_and_blank_lines_passed_over():
    content = b"text,a,b\n\nx\n\ny,1,2\n"
    found = look(content)
    writer = CsvWriter(found.columns, ADDED, delimiter=",", newline="\n", byte_order_mark=False)
    read = rows_of(CsvReader(","), content, found.first)
    assert [writer.line(row, VALUES) for row in read] == [b"x,,,positive,0.75,\n", b"y,1,2,positive,0.75,\n"]
    assert [row.line for row in read] == [3, 5]
    assert read[0].value("b", found.columns) is None


def test_rows_of_csv_become_objects():
    found = look(b"text,a\nx\n")
    (row,) = rows_of(CsvReader(","), b"text,a\nx\n", found.first)
    assert json.loads(JsonWriter(found.columns, ADDED).line(row, VALUES)) == {
        "text": "x", "a": "", "label": "positive", "score": 0.75, "error": None,
    }  # fmt: skip


def test_objects_become_rows_with_all_their_keys():
    content = b'{"text": "x", "a": null}\n\n{"b": "\xc3\xbc", "text": "y"}\n{}'
    found = look(content, JsonReader())
    assert (found.columns, found.rows) == (("text", "a", "b"), 3)
    writer = CsvWriter(found.columns, ADDED, delimiter="\t", newline="\n", byte_order_mark=False)
    lines = [writer.line(row, VALUES).decode() for row in rows_of(JsonReader(), content)]
    assert lines == ["x\t\t\tpositive\t0.75\t\n", "y\t\tü\tpositive\t0.75\t\n", "\t\t\tpositive\t0.75\t\n"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"id,body\n1,x\n", "it has no column 'text', but 'id', 'body'"),
        (b"id;text\n1;x\n", "separated by ';'?"),
        (b"id\ttext\n1\tx\n", r"separated by '\t'?"),
        (b"text,text\n", "more than one column 'text'"),
        (b"text,label\nx,y\n", "a column 'label' already: give the new one another name with --label-column"),
        (b"text,a\nx,1\ny,1,2\n", "line 3: it has 3 fields, and the header 2"),
        (b'text,a\n"x\nx",1\ny,1,2\n', "line 4: it has 3 fields"),
        (b'text,a\nx,1\n"y,1\nz,2\n', "line 3: a quoted field begins here that nothing closes"),
        (b'text,a\nx,1\nz,"2', "line 3: a quoted field begins here that nothing closes"),
        (b"text\nx\nsch\xf6n\n", "line 3: byte 4 of it (0xf6) is not UTF-8"),
        ("text\nx\n".encode("utf-16"), "line 1: byte 1 of it (0xff) is not UTF-8; it looks like UTF-16"),
        (b"text,a\rx,1\ry,2\r", "line 1: it cannot be read"),
    ],
)
def test_what_is_wrong_with_a_csv_file(content, message):
    assert message in error_of(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"text": "x"}\n{"text": }\n', "line 2: it is not JSON: Expecting value at character 10"),
        (b'{"text": "x"}\n["x"]\n', "line 2: it is JSON, but no object"),
        (b'{"body": "x"}\n', "none of its objects has a field 'text'; they have 'body'"),
        (b'{"text": "x"}\n{"text": "x", "score": 1}\n', "line 2: it has a column 'score' already"),
        (b'{"text": "x"}\n{"text": "\xff"}\n', "line 2: byte 11 of it (0xff) is not UTF-8"),
        (b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "line 1: its JSON is nested too deeply"),
    ],
)
def test_what_is_wrong_with_a_json_lines_file(content, message):
    assert message in error_of(content, JsonReader())


@pytest.mark.parametrize("content", [b"text\n", b"text", b"text\n\n\n"])
def test_a_table_without_rows(content):
    assert look(content).rows == 0


def test_an_empty_json_lines_file_is_a_table():
    assert look(b"\n", JsonReader()).rows == 0


@pytest.mark.parametrize("content", [b"text\n" + b"x" * 99, b'text\n"' + b"x\n" * 99 + b'"'])
def test_what_is_too_long_to_be_held_is_refused(content, monkeypatch):
    monkeypatch.setattr(tables, "LONGEST_LINE", 60)
    assert "line 2: " in error_of(content)


def test_a_table_with_too_many_different_keys_is_refused(monkeypatch):
    monkeypatch.setattr("sentinova.survey.MOST_COLUMNS", 9)
    content = "".join(json.dumps({"text": "x", str(number): 1}) + "\n" for number in range(99))
    assert "line 9: the objects up to here have more than 9 different keys" in error_of(content.encode(), JsonReader())


def test_a_guard_tells_a_change_from_a_touch(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"text\nx\n")
    with path.open("rb") as file:
        found = survey(file, CsvReader(","), column="text", added=ADDED, check=lambda _: None, advance=lambda _: None)
        guard = Guard(file, found)
        file.seek(5)
        guard.check()
        path.write_bytes(b"text\nx\n")
        guard.check()
        assert file.read() == b"x\n"
        path.write_bytes(b"text\nX\n")
        with pytest.raises(TableError, match="changed while it was read"):
            guard.check()


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.csv", "csv"),
        ("a.TSV", "tsv"),
        ("a.tab", "tsv"),
        ("a.b.jsonl", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("csv", None),
    ],
)
def test_a_name_tells_the_format(name, form, tmp_path):
    assert tables.format_of(tmp_path / name) == form

"""The table says what was run, and never that something passed that was not."""

import pytest
from polyglot.table import FAILED, NOT_RUN, PASSED, Table


@pytest.mark.parametrize(
    ("outcomes", "text"),
    [
        ([PASSED, PASSED], "passed"),
        ([PASSED, FAILED], "FAILED"),
        ([NOT_RUN, FAILED], "FAILED"),
        ([NOT_RUN, NOT_RUN], "not run: no `go`"),
        ([PASSED, NOT_RUN], "passed, in part not run: no `go`"),
    ],
)
def test_a_cell_is_as_bad_as_its_worst_test(outcomes, text):
    table = Table()
    for outcome in outcomes:
        table.add("unary", "go", outcome, "no `go`" if outcome == NOT_RUN else "")
    assert table.text("unary", "go") == text
    assert table.text("batch", "go") == table.text("unary", "java") == "–"


def test_reasons_stand_below(tmp_path):
    table = Table()
    assert not table
    table.add("unary", "go", NOT_RUN, "go: no `go`")
    table.add("unary", "python", PASSED)
    table.add("stream", "go", NOT_RUN, "go: no `go`")
    table.note("Difference", 1e-7)
    table.note("Difference", 1e-8)
    table.write(tmp_path / "deep" / "report.md")
    lines = (tmp_path / "deep" / "report.md").read_text().splitlines()
    assert [" ".join(line.split()) for line in lines if line] == [
        "# Clients against a real server",
        "| | go | python |",
        "| ------ | ----------- | ------ |",
        "| unary | not run [1] | passed |",
        "| stream | not run [1] | – |",
        "[1] go: no `go`",
        "Difference: 1e-07",
    ]

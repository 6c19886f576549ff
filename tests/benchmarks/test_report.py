"""Results become ratios, tables and a report, without any plot."""

from pathlib import Path

import pytest

from benchmarks.report.markdown import render
from benchmarks.report.tables import format_number, format_series, make_tables, ratio_table
from benchmarks.samples import Results, ratios


@pytest.fixture
def results() -> Results:
    found = Results(
        facts={"processor": "a | b"},
        titles={"bare": "bare OpenVINO", "sentinova": "Sentinova", "triton": "Triton"},
        missing={"MLServer": "cannot be installed: no such thing"},
    )
    for number, speed in ((1, 300.0), (2, 330.0), (3, 270.0)):
        found.add("throughput", "mixed/sorted", "bare", number, texts_per_s=400, cpu_s_per_1000=5, padding=0.1)
        found.add("throughput", "mixed/unary", "sentinova", number, texts_per_s=speed, cpu_s_per_1000=6, padding=0.2)
        found.add("throughput", "mixed/unary", "triton", number, texts_per_s=100, cpu_s_per_1000=18, padding=0.7)
        found.add("latency", "one text/LATENCY", "bare", number, p50_ms=5, p99_ms=6)
        found.add("latency", "one text", "sentinova", number, p50_ms=6, p99_ms=8, errors=0)
    for requests, memory in ((0, 200), (5000, 220), (20000, 231)):
        found.add("memory", str(requests), "sentinova", 1, memory_mb=memory)
    found.add("memory", "500", "triton", 1, memory_mb=900)
    return found


def find_ratio(results: Results, *words: str) -> list[str]:
    return next(list(row) for row in ratio_table(results).rows if all(word in row[0] for word in words))


def test_ratios_are_taken_within_rounds():
    assert ratios({1: 10, 2: 30}, {1: 5, 2: 10, 3: 1}) == [2, 3]
    assert ratios({1: 10}, {1: 0}) == []


def test_the_ratios_say_what_was_divided_and_by_what(results: Results):
    assert find_ratio(results, "mixed", "texts/s: Sentinova / Triton")[1:] == [
        "**3.00**",
        "2.70…3.30",
        "3.00 3.30 2.70",
    ]
    assert find_ratio(results, "unary calls", "ceiling, texts per CPU second")[1] == "**0.83**"
    assert find_ratio(results, "one client", "all cores")[1] == "**1.20**"
    assert find_ratio(results, "memory after 20,000 requests / after 5,000: Sentinova")[1] == "**1.05**"


def test_what_was_not_measured_has_no_ratio(results: Results):
    names = [row[0] for row in ratio_table(results).rows]
    assert not any("MLServer" in name or "Paddle" in name or "open loop" in name for name in names)
    # Triton's memory was not watched for long enough.
    assert not any("memory" in name and "Triton" in name for name in names)


def test_a_report_names_what_was_not_run_and_why(results: Results):
    report = render(results)
    assert "- MLServer: cannot be installed: no such thing" in report
    assert "a \\| b" in report
    assert "![" not in report


def test_a_report_shows_only_plots_that_are_there(results: Results):
    assert "](cpu.png)" in render(results, frozenset({"cpu.png"}))


def test_every_row_has_as_many_cells_as_its_header(results: Results):
    tables = make_tables(results)
    assert {table.title for table in tables} >= {"Ratios", "Throughput", "Memory"}
    for table in tables:
        assert {len(row) for row in table.rows} == {len(table.header)}


def test_an_empty_run_has_a_report_without_tables():
    assert "## Ratios" not in render(Results())


def test_results_are_read_back_as_they_were_written(results: Results, tmp_path: Path):
    results.save(tmp_path / "deep" / "results.json")
    assert Results.read(tmp_path / "deep" / "results.json") == results


@pytest.mark.parametrize(
    ("value", "text"), [(0.1234, "0.12"), (1.5, "1.50"), (12.34, "12.3"), (1234.5, "1,234"), (float("nan"), "–")]
)
def test_numbers_have_three_digits(value: float, text: str):
    assert format_number(value) == text


def test_a_range_is_shown_where_there_is_one():
    assert format_series({1: 1, 2: 3, 3: 2}) == "2.00 (1.00…3.00)"
    assert format_series({1: 2}) == format_series({1: 2, 2: 2.001}) == "2.00"
    assert format_series({}) == "–"

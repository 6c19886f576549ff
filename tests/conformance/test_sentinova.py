"""Every case against Sentinova, which must give what is expected."""

from __future__ import annotations

import pytest
from conforming.case import Case
from conforming.cases import CASES
from conforming.differences import DIFFERENCES, PAGE, read_reasons, read_table, write_page

_ALL = [case for cases in CASES.values() for case in cases]


@pytest.mark.parametrize("case", _ALL, ids=lambda case: case.name)
def test_it_answers_as_expected(case: Case, sentinova, observed, report):
    found = case.run(sentinova.target(case.mode))
    observed[case.name] = found
    report.add_sentinova(case.name, found)
    assert found == case.expected


def test_names_are_unique():
    names = [case.name for case in _ALL]
    assert len(names) == len(set(names))


def test_each_explained_difference_is_of_a_case():
    assert set(DIFFERENCES) <= {case.name for case in _ALL}


def test_each_reason_is_of_a_difference():
    used = {row["reason"] for row in read_table()["differences"].values()}
    assert set(read_reasons()) == used


def test_the_page_says_what_the_table_says():
    assert PAGE.read_text() == write_page(), "write it again: python -m conforming.differences, in tests/conformance"

"""Killed at any instant, with Discord or GitHub away when it comes back: nothing twice, nothing lost, nothing false.

Here each line of the README's table runs on one of its sides with one of the outages, in turn, so that all of them come
to pass; `make crash-table` runs everything and writes the table.
"""

import itertools

import pytest

from tests.crash.case import OUTAGES
from tests.crash.flows import FLOWS
from tests.crash.instants import INSTANTS
from tests.crash.side_by_side import Case, SideBySide
from tests.crash.table import README, lines, table_in, words

CASES = [
    pytest.param((sides[index % len(sides)], outage), id=f"{sides[index % len(sides)].name}; {outage} away")
    for (index, sides), outage in zip(enumerate(lines().values()), itertools.cycle(OUTAGES), strict=False)
]


def test_there_are_enough_instants_and_each_has_a_name_of_its_own() -> None:
    assert len({instant.name for instant in INSTANTS}) == len(INSTANTS)
    assert len(lines()) >= 25
    assert {instant.flow for instant in INSTANTS} == set(FLOWS)


def test_the_table_in_the_readme_has_the_instants_that_there_are_with_the_endings_that_they_have() -> None:
    told = {(flow, what): (before, after) for flow, what, before, after, *_ in table_in(README.read_text("utf-8"))}
    there_are = {
        line: tuple(words(found) if (found := by_side.get(side)) else "" for side in ("before", "after"))
        for line, sides in lines().items()
        for by_side in [{instant.side: instant for instant in sides}]
    }
    assert told == there_are


def test_the_table_in_the_readme_counts_nothing_twice() -> None:
    for flow, what, *_, runs, rollouts, cards in table_in(README.read_text("utf-8")):
        most_rollouts = 2 if flow == "sick version" else 1
        assert (int(runs[-1]) <= 1, int(rollouts[-1]) <= most_rollouts, cards) == (True, True, "1"), what


@pytest.mark.parametrize("case", CASES)
async def test_killed(crashes: SideBySide, case: Case) -> None:
    assert (await crashes.result(case)).cards == 1

"""Who runs an operation: leases are renewed by the living, run out with the dead, and fence whoever comes back late."""

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.ops.model import Operation, Request, Status
from bot.policy import seeded_rows
from tests.unit.engine_room import Clock, Limits
from tests.unit.model_room import FILE, Outside, Process, empty_home

LEASE_S = Limits().lease_s


class Deck:
    """Two processes over one file, and what stands in the row of the operation that they share."""

    def __init__(self, home: Path) -> None:
        self.home, self.clock, self.outside = home, Clock(), Outside()
        self.one, self.other = (Process.start(name, home, self.outside, self.clock, seeded_rows()) for name in "ab")

    def ask(self, key: str = "k", service: str = "app") -> Operation:
        request = Request(key, "deploy", "dev", {"service": service})
        return self.one.call(self.one.engine.request(request, self.outside.actor("dev")))

    def row(self, operation: Operation) -> dict[str, object]:
        connection = sqlite3.connect(self.home / FILE)
        connection.row_factory = sqlite3.Row
        found = dict(connection.execute("SELECT * FROM operations WHERE id = ?", (operation.id,)).fetchone())
        connection.close()
        return found

    def lease(self, operation: Operation) -> tuple[object, object]:
        row = self.row(operation)
        return row["lease_owner"], row["lease_until"]


@pytest.fixture
def deck(tmp_path: Path) -> Iterator[Deck]:
    (tmp_path / "homes").mkdir()
    deck = Deck(empty_home(tmp_path / "homes", tmp_path))
    yield deck
    deck.one.bury()
    deck.other.bury()


def stamp(deck: Deck, seconds: int) -> str:
    return f"{deck.clock.at + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S.%f}"


def test_a_start_takes_a_lease_and_the_living_renew_it_every_third_of_it(deck: Deck) -> None:
    running, beside = deck.ask(), deck.ask("other", "site")
    deck.one.drive()
    owner, until = deck.lease(running)
    assert owner
    assert until == stamp(deck, LEASE_S)
    deck.clock.advance(seconds=1)
    deck.one.drive()
    until = stamp(deck, LEASE_S)
    assert deck.lease(running) == (owner, until)
    deck.clock.advance(seconds=LEASE_S / 3 - 1)
    deck.one.drive()
    assert deck.lease(running) == (owner, until)
    deck.clock.advance(seconds=1)
    deck.one.drive()
    assert deck.lease(running) == (owner, stamp(deck, LEASE_S))
    deck.outside.ends[beside.id] = "succeeded"
    deck.one.drive()
    ended = deck.lease(beside)
    assert ended == ("", None)
    deck.clock.advance(seconds=LEASE_S)
    deck.one.drive()
    assert deck.lease(beside) == ended


def test_nobody_adopts_what_has_a_living_lease_and_everybody_what_has_none(deck: Deck) -> None:
    running = deck.ask()
    deck.one.drive()
    owner, _ = deck.lease(running)
    deck.clock.advance(seconds=LEASE_S)
    deck.other.drive()
    assert deck.lease(running)[0] == owner
    deck.clock.advance(seconds=1)
    deck.other.drive()
    adopted, until = deck.lease(running)
    assert adopted not in ("", owner)
    assert until == stamp(deck, LEASE_S)
    assert len(deck.outside.sent) == 1


def test_whoever_was_replaced_ends_nothing_and_renews_nothing(deck: Deck) -> None:
    running = deck.ask()
    deck.one.drive()
    deck.clock.advance(seconds=LEASE_S + 1)
    deck.other.drive()
    adopted = deck.lease(running)
    deck.outside.ends[running.id] = "failed"
    deck.one.drive()
    assert deck.row(running)["status"] == Status.RUNNING
    deck.clock.advance(seconds=LEASE_S / 2)
    deck.one.drive()
    assert deck.lease(running) == adopted
    deck.outside.ends[running.id] = "succeeded"
    deck.other.drive()
    assert deck.row(running)["status"] == Status.SUCCEEDED


def test_what_a_person_hands_back_is_taken_by_whoever_looks_first(deck: Deck) -> None:
    running = deck.ask()
    deck.one.drive()
    owner, _ = deck.lease(running)
    deck.one.call(deck.one.engine.cancel(running.id, deck.outside.actor("dev2")))
    deck.outside.ends[running.id] = "lost"
    deck.one.drive()
    assert deck.row(running)["status"] == Status.INTERRUPTED
    deck.one.call(deck.one.engine.resume(running.id, deck.outside.actor("dev")))
    row = deck.row(running)
    assert (row["lease_owner"], row["reason"], row["cancel_requested_at"], row["cancel_requested_by"]) == (
        "",
        "",
        None,
        "",
    )
    deck.other.drive()
    assert deck.lease(running)[0] not in ("", owner)
    deck.outside.ends[running.id] = "succeeded"
    deck.other.drive()
    assert deck.row(running)["status"] == Status.SUCCEEDED

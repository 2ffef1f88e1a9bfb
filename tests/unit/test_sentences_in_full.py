"""What the core says of an operation in each state, and what a seeded history leaves in the database, word by word."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from bot.ops.model import Status, Verdict, Vote
from bot.ops.seed import load_seed
from bot.ops.sentences import already, closed, moment, named, over, people, title, what_next
from tests.unit.engine_room import open_room
from tests.unit.golden import expect
from tests.unit.test_card import PENDING
from tests.unit.test_record_in_full import left
from tests.unit.test_seed import FAILED, LINE, write

AT = datetime(2026, 8, 1, 12, 3, tzinfo=UTC)
YES = (Vote(184, "sre", Verdict.APPROVE, "d", "", AT), Vote(184, "sre2", Verdict.APPROVE, "d", "", AT))
NO = (Vote(184, "owner", Verdict.DENY, "d", "not now", AT),)


def test_what_is_said_of_an_operation_in_each_state() -> None:
    lines = []
    for status in Status:
        bare = replace(PENDING, status=status, reason="It waited.")
        timed = replace(
            bare, approved_at=AT, started_at=AT, ended_at=AT, cancel_requested_by="dev", waiting_for="a lock"
        )
        for operation in (bare, timed):
            said = [already(operation, votes) for votes in ((), YES, NO)]
            lines.append(f"{status}: {' / '.join((*said, over(operation), what_next(operation) or '-'))}")
    expect("sentences.txt", "\n".join(lines) + "\n")


def test_names_and_times() -> None:
    assert title(PENDING) == "deploy of app to prod"
    assert [named("rollback", "app", "prod"), named("reload", "", "control")] == [
        "rollback of app in prod",
        "reload in control",
    ]
    assert moment(datetime(2026, 8, 1, 14, 3, tzinfo=timezone(timedelta(hours=2)))) == "2026-08-01 12:03 UTC"
    assert moment(None) == "an unknown time"
    assert (people(YES, Verdict.APPROVE), people(YES, Verdict.DENY)) == ("sre and sre2", "")


def test_whose_the_locks_of_a_closed_operation_are() -> None:
    ended = replace(PENDING, status=Status.FAILED)
    assert closed(ended) == "You closed #184 as failed; its locks are free."
    taken = replace(ended, status=Status.CANCELLED, locks_taken_by=190)
    assert closed(taken) == "You closed #184 as cancelled; #190 has taken its locks over."


async def test_what_a_history_from_a_file_leaves(tmp_path: Path) -> None:
    more = {**LINE, "commit": "c" * 40, "approver": None, "target": "v1.2", "title": "A title", "author": "harbour-dev",
            "built_from": "d" * 40, "created_at": "2026-07-19T09:00:00Z", "log_tail": "the end"}  # fmt: skip
    denied = {
        **LINE,
        "approver": None,
        "status": "denied",
        "kind": "rollback",
        "started_at": None,
        "reason": "Not on a Friday.",
    }
    async with open_room(tmp_path) as room:
        assert await load_seed(room.store, write(tmp_path / "seed.jsonl", LINE, "", FAILED, more, denied)) == 4
        assert await load_seed(room.store, write(tmp_path / "seed.jsonl", LINE)) == 0
        keys = await room.database.read(
            lambda c: list(c.exec_driver_sql("SELECT request_key FROM operations").scalars())
        )
        expect("record-seeded.txt", "\n".join(keys) + "\n" + await left(room))

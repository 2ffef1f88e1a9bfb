"""History from a file: loaded once, complete, or not at all."""

import json
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bot.db.tables import cards
from bot.errors import Misconfigured
from bot.ops.model import Status, Verdict
from bot.ops.seed import load_seed
from tests.unit.engine_room import open_room

LINE = {
    "kind": "deploy",
    "environment": "prod",
    "service": "app",
    "status": "succeeded",
    "commit": "a" * 40,
    "image": "registry/app@sha256:" + "1" * 64,
    "requester": "dev",
    "approver": "sre",
    "created_at": "2026-07-20T09:00:00Z",
    "started_at": "2026-07-20T09:05:00Z",
    "ended_at": "2026-07-20T09:06:00Z",
}
FAILED = {
    **LINE,
    "status": "failed",
    "commit": "b" * 40,
    "reason": "Never healthy.",
    "ended_at": "2026-07-21T09:06:00Z",
}


def write(path: Path, *lines: object) -> Path:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
    return path


async def test_history_is_loaded_once_and_counts_as_history(tmp_path: Path) -> None:
    seed = write(tmp_path / "seed.jsonl", LINE, "", FAILED)
    async with open_room(tmp_path) as room:
        assert await load_seed(room.store, seed) == 2
        assert await load_seed(room.store, seed) == 0
        failed, succeeded = await room.engine.operations()
        assert (failed.status, failed.reason, failed.result) == (Status.FAILED, "Never healthy.", {})
        assert succeeded.seeded
        assert dict(succeeded.result) == {
            "commit": "a" * 40, "image": "registry/app@sha256:" + "1" * 64, "built_from": "a" * 40,
        }  # fmt: skip
        assert await room.engine.last_deployed("prod", "app") == succeeded
        (vote,) = await room.engine.votes(succeeded.id)
        assert (vote.person, vote.verdict) == ("sre", Verdict.APPROVE)
        assert await room.names(succeeded) == ["operation.requested", "vote.approve", "operation.succeeded"]
        assert await room.database.read(lambda c: c.execute(select(func.count()).select_from(cards)).scalar()) == 0


async def test_an_sre_may_go_back_alone_to_a_seeded_version(tmp_path: Path) -> None:
    from tests.unit.engine_room import SRE

    async with open_room(tmp_path) as room:
        await load_seed(room.store, write(tmp_path / "seed.jsonl", LINE))
        asked = await room.ask(SRE, environment="prod", kind="rollback", commit="a" * 40)
        assert asked.status is Status.APPROVED


@pytest.mark.parametrize(("line", "says"), [
    ({**LINE, "status": "running"}, "line 2: status"),
    ({**LINE, "surprise": 1}, "line 2: surprise"),
    ({**LINE, "ended_at": "2026-07-19T09:00:00Z"}, "not in this order"),
    ({**LINE, "created_at": "2026-07-20T09:00:00"}, "line 2: created_at"),
    ("{", "line 2"),
])  # fmt: skip
async def test_a_bad_line_is_named_and_nothing_is_loaded(tmp_path: Path, line: object, says: str) -> None:
    async with open_room(tmp_path) as room:
        with pytest.raises(Misconfigured, match=says):
            await load_seed(room.store, write(tmp_path / "seed.jsonl", LINE, line))
        assert await room.engine.operations() == []


async def test_a_missing_file_is_said(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        with pytest.raises(Misconfigured, match="cannot be read"):
            await load_seed(room.store, tmp_path / "none.jsonl")

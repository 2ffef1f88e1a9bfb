"""No secret that comes from outside reaches a row; what a vote binds to stays as it is."""

from pathlib import Path
from typing import Any

from sqlalchemy import select

from bot.db.tables import events, operations, votes
from bot.logs import REDACTED, Redactor
from bot.ops.engine import REASON_MAX
from bot.ops.execution import LOG_TAIL_MAX
from bot.ops.handler import Failed, Run
from bot.ops.model import Json, Status, Verdict
from bot.ops.record import cleaned
from tests.unit.engine_room import SRE, Deploy, open_room

CANARY = "canary-7d1f-of-the-harbour"
TOKEN = "ghp_" + "a1B2" * 8


class Leaking(Deploy):
    """A run whose outside prints secrets wherever it can."""

    async def run(self, run: Run) -> Json:
        await run.step("Build", "running", f"export TOKEN={TOKEN}")
        await run.waiting(f"GitHub said: {CANARY}")
        await run.note(f"It printed {CANARY}.")
        await run.shown(title=f"Deploy with {CANARY}", nested=[{"line": TOKEN}, 3])
        await run.checkpoint(switch_back={"log_tail": CANARY, "at": 7})
        raise Failed(f"It ended with {TOKEN}.", log_tail=f"+ curl -H {CANARY}", result={"said": [CANARY]})


async def test_a_secret_typed_as_a_service_is_not_kept(tmp_path: Path) -> None:
    redactor = Redactor([CANARY])
    async with open_room(tmp_path, clean=redactor.clean) as room:
        await room.engine.record("door.refused", "dev", "No such service.", {"service": CANARY, "rule": "catalog"})
        rows = await everything(room)
        assert CANARY not in rows
        assert REDACTED in rows


async def everything(room: Any) -> str:
    """All rows of all tables that text reaches, as text."""

    def read(connection: Any) -> str:
        return "\n".join(str(row) for table in (operations, events, votes) for row in connection.execute(select(table)))

    return str(await room.database.read(read))


async def test_no_secret_of_the_outside_reaches_a_row(tmp_path: Path) -> None:
    async with open_room(tmp_path, clean=Redactor([CANARY]).clean) as room:
        room.registry.add(Leaking())
        asked = await room.ask()
        await room.start()
        ended = await room.becomes(asked, Status.FAILED)
        denied = await room.ask(environment="prod")
        await room.engine.vote(denied.id, SRE, Verdict.DENY, digest=denied.digest, reason=f"It holds {CANARY}.")
        await room.engine.record("door.refused", "guest", f"He typed {TOKEN}.", {"said": [{"text": CANARY}]})
        rows = await everything(room)
        assert CANARY not in rows
        assert TOKEN not in rows
        assert ended.reason == f"It ended with {REDACTED}."
        assert ended.log_tail == f"+ curl -H {REDACTED}"
        assert ended.shown["nested"] == [{"line": REDACTED}, 3]
        assert ended.checkpoint["switch_back"] == {"log_tail": REDACTED, "at": 7}


async def test_what_a_vote_binds_to_is_never_rewritten(tmp_path: Path) -> None:
    """The plan and the parameters are ours; were they changed, the digest would no longer be theirs."""
    async with open_room(tmp_path, clean=lambda text: text.replace("c", "")) as room:
        asked = await room.ask(environment="prod")
        assert asked.plan["commit"] == "c" * 40
        assert asked.target == ""
        assert await room.engine.stale_because(asked) == ""


def test_only_texts_are_cleaned_and_keys_stay() -> None:
    value = {"secret": "secret", "list": ("secret", 1, None, True), "deep": {"x": [2.5, "no"]}}
    hidden = cleaned(value, lambda text: text.replace("secret", "-"))
    assert hidden == {"secret": "-", "list": ["-", 1, None, True], "deep": {"x": [2.5, "no"]}}


async def test_a_secret_at_the_edge_of_what_is_kept_leaves_no_half_behind(tmp_path: Path) -> None:
    async with open_room(tmp_path, clean=Redactor([CANARY]).clean) as room:
        room.deploy.error = Failed("No.", log_tail=CANARY + "x" * (LOG_TAIL_MAX - 8))
        room.deploy.gate.set()
        asked = await room.ask()
        await room.start()
        ended = await room.becomes(asked, Status.FAILED)
        assert CANARY[-8:] not in ended.log_tail
        denied = await room.ask(environment="prod")
        reason = "y" * (REASON_MAX - 8) + CANARY
        ended = await room.engine.vote(denied.id, SRE, Verdict.DENY, digest=denied.digest, reason=reason)
        assert CANARY[:8] not in ended.reason

"""What changed: the index of operations and events of a window, and hand changes that nobody told us of."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from bot.ops.model import Status
from bot.policy import Sight
from bot.services.changes import BY_HAND, CONFIGURATION, SILENCE, Change, Changes, no_change
from bot.services.hand_changes import HandWatch
from bot.services.running import Health
from tests.unit.engine_room import DEV, SRE, Room, open_room

TWO_HOURS = timedelta(hours=2)
OLD, NEW, OTHER = "a" * 40, "b" * 40, "d" * 40


async def deployed(room: Room, commit: str = OLD, *, service: str = "app", environment: str = "dev") -> int:
    """A deploy from wish to success."""
    room.deploy.gate.set()
    operation = await room.ask(DEV, environment, service=service, commit=commit)
    await room.becomes(operation, Status.SUCCEEDED)
    return operation.id


def told(changes: Sequence[Change]) -> list[str]:
    return [f"{change.kind}: {change.text} ({change.person})" for change in changes]


async def test_the_newest_change_of_the_place_comes_first_and_others_are_left_out(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        await room.start()
        changes = Changes(room.database, services=("app", "bot"), now=room.clock)
        await deployed(room)
        room.clock.advance(minutes=5)
        await deployed(room, service="worker")
        await room.engine.record("silence.created", "sre", "HighCPU silenced.", {"environment": "dev"})
        room.clock.advance(minutes=5)
        await deployed(room, NEW)
        await room.engine.record("config.reloaded", "host", "Reloaded by owner.", {"environment": "control"})
        await room.engine.record("config.refused", "host", "Refused whole.", {"environment": "control"})
        found = await changes.lately("dev", "app", TWO_HOURS)
        assert sorted(told(found)[:2]) == [
            f"{CONFIGURATION}: Reloaded by owner. (host)",
            "deploy: deploy bbbbbbb (dev)",
        ]
        assert told(found)[2:] == [f"{SILENCE}: HighCPU silenced. (sre)", "deploy: deploy aaaaaaa (dev)"]
        assert [change.can_be_undone for change in found if change.kind == "deploy"] == [True, True]
        assert len(await changes.lately("dev", "", TWO_HOURS)) == 5
        assert [change.kind for change in await changes.lately("prod", "app", TWO_HOURS)] == [CONFIGURATION]
        assert len(await changes.lately("", "", TWO_HOURS)) == 5


async def test_an_alert_of_a_host_is_told_of_every_deploy_of_its_environment(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        await room.start()
        changes = Changes(room.database, services=("app", "bot"), now=room.clock)
        await deployed(room)
        for service in ("host", "monitoring"):  # the label of what monitoring/ says of hosts, and of itself
            assert told(await changes.lately("dev", service, TWO_HOURS)) == ["deploy: deploy aaaaaaa (dev)"]
        assert await changes.lately("dev", "bot", TWO_HOURS) == ()


async def test_only_what_lies_in_the_window_counts_and_nothing_is_said_too(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        await room.start()
        changes = Changes(room.database, services=("app", "bot"), now=room.clock)
        await deployed(room)
        room.clock.advance(hours=3)
        assert await changes.lately("dev", "app", TWO_HOURS) == ()
        assert len(await changes.lately("dev", "app", timedelta(hours=4))) == 1
        ago = room.clock() - timedelta(hours=5)
        assert await changes.of("dev", "app", ago, ago + timedelta(hours=1)) == ()
    assert no_change(TWO_HOURS) == "no change in 2 h"
    assert no_change(timedelta(minutes=90)) == "no change in 90 min"


async def test_what_still_runs_and_what_failed_is_a_change_and_what_never_began_is_none(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        await room.start()
        changes = Changes(room.database, services=("app", "bot"), now=room.clock)
        running = await room.ask(DEV, "dev", commit=NEW)
        await room.becomes(running, Status.RUNNING)
        waiting = await room.ask(DEV, "prod", commit=NEW)
        (found,) = await changes.lately("dev", "app", TWO_HOURS)
        assert (found.text, found.outcome, found.operation_id) == (
            "deploy bbbbbbb, still running",
            "running",
            running.id,
        )
        assert not found.can_be_undone
        room.deploy.error = RuntimeError("boom")
        room.deploy.gate.set()
        await room.becomes(running, Status.FAILED, Status.INTERRUPTED)
        (found,) = await changes.lately("dev", "app", TWO_HOURS)
        assert found.text in ("deploy bbbbbbb, failed", "deploy bbbbbbb, interrupted")
        await room.engine.cancel(waiting.id, DEV)
        assert await changes.lately("prod", "app", TWO_HOURS) == ()


async def test_where_somebody_may_not_look_nothing_is_told(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        await room.start()
        await deployed(room)
        changes = Changes(room.database, services=("app", "bot"), now=room.clock)
        hidden = Sight(but=frozenset({"dev"}))
        assert await changes.lately("", "", TWO_HOURS, sight=hidden) == ()
        assert len(await changes.lately("", "", TWO_HOURS)) == 1


@dataclass
class Serving:
    """A service whose `/health` says what a test wants; None: it does not answer."""

    commit: str | None = OLD
    meanwhile: list[str] = field(default_factory=list)

    async def health(self, environment: str, service: str) -> Health | None:
        return None if self.commit is None else Health("ok", self.commit, self.commit)


def hand_watch(room: Room, serving: Serving) -> HandWatch:
    return HandWatch([("dev", "app")], services=serving, store=room.store)


async def hand_changes(room: Room) -> list[str]:
    return [
        c.text
        for c in await Changes(room.database, services=("app", "bot"), now=room.clock).lately("dev", "app", TWO_HOURS)
        if c.kind == BY_HAND
    ]


async def test_a_hand_change_is_one_event_and_so_is_the_way_back(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        await room.start()
        serving = Serving()
        await deployed(room)
        await hand_watch(room, serving).look()
        assert await hand_changes(room) == []
        serving.commit = OTHER
        room.clock.advance(minutes=1)
        for _ in range(3):  # each with a watch of its own, as after a restart
            await hand_watch(room, serving).look()
            room.clock.advance(minutes=1)
        assert await hand_changes(room) == [
            "app in dev serves ddddddd instead of aaaaaaa, and no operation succeeded in that."
        ]
        serving.commit = None
        await hand_watch(room, serving).look()
        serving.commit = OLD
        await hand_watch(room, serving).look()
        assert len(await hand_changes(room)) == 2
        serving.commit = OTHER
        await hand_watch(room, serving).look()
        await deployed(room, NEW)
        serving.commit = NEW
        await hand_watch(room, serving).look()
        assert len(await hand_changes(room)) == 3


async def test_while_an_operation_is_at_work_there_nothing_is_concluded(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        await room.start()
        await deployed(room)
        room.deploy.gate.clear()
        running = await room.ask(SRE, "dev", commit=NEW)
        await room.becomes(running, Status.RUNNING)
        await hand_watch(room, Serving(NEW)).look()
        assert await hand_changes(room) == []
        await room.engine.cancel(running.id, SRE)
        await room.becomes(running, Status.CANCELLED)
        await hand_watch(room, Serving(NEW)).look()
        (told_of,) = await hand_changes(room)
        assert told_of.endswith(f"#{running.id} was to bring it.")


async def test_a_deploy_that_ends_between_asking_and_writing_is_no_hand_change(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        await room.start()
        await deployed(room)

        class Late(Serving):
            async def health(self, environment: str, service: str) -> Health | None:
                await deployed(room, NEW)
                return Health("ok", NEW, NEW)

        await hand_watch(room, Late()).look()
        assert await hand_changes(room) == []


async def test_where_nothing_was_ever_deployed_the_first_version_seen_is_no_change(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        serving = Serving()
        await hand_watch(room, serving).look()
        assert await hand_changes(room) == []
        serving.commit = NEW
        await hand_watch(room, serving).look()
        assert await hand_changes(room) == [
            "app in dev serves bbbbbbb instead of aaaaaaa, and no operation succeeded in that."
        ]

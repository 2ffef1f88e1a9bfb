"""Looking with a policy that tells environments apart: what one may not see is left out, counted, and never shown."""

from dataclasses import replace
from pathlib import Path

import pytest

from bot.errors import Refused
from bot.ops.lookout import Lookout
from bot.ops.record import AuditFilter
from bot.ops.store import Filter
from bot.policy import CONTROL, Action, Door, PolicyRow, seeded_rows
from tests.unit.engine_room import DEV, GUEST, SRE, Room, open_room

LOOKS = (Action.OPERATION_VIEW, Action.AUDIT_VIEW, Action.STATUS_VIEW)
RUNS = tuple(row for row in seeded_rows() if row.action not in LOOKS)
OPEN_BUT_PROD = RUNS + tuple(
    row
    for action in LOOKS
    for row in (PolicyRow(action, "*", requesters=("*",)), PolicyRow(action, "prod", requesters=("sre",)))
)
"""Everybody looks everywhere, only sre at prod."""
ONLY_DEV = RUNS + tuple(PolicyRow(action, "dev", requesters=("dev", "sre")) for action in LOOKS)


def lookout(room: Room, rows: tuple[PolicyRow, ...]) -> Lookout:
    return Lookout(room.store, rows)


async def asked(room: Room, *environments: str) -> list[int]:
    return [(await room.ask(environment=environment)).id for environment in environments]


@pytest.mark.parametrize("rows", [OPEN_BUT_PROD, ONLY_DEV])
async def test_one_operation_is_seen_by_the_rule_of_its_own_environment(
    tmp_path: Path, rows: tuple[PolicyRow, ...]
) -> None:
    async with open_room(tmp_path, rows=rows) as room:
        of_dev, of_prod = await asked(room, "dev", "prod")
        looking = lookout(room, rows)
        assert (await looking.operation(of_dev, DEV)).id == of_dev
        with pytest.raises(Refused, match="Rule operation:view in prod") as refusal:
            await looking.operation(of_prod, DEV)
        assert refusal.value.rule == "operation:view in prod"
        (event,) = await room.engine.audit(AuditFilter(actor="dev", environment="prod", limit=1))
        assert (event.name, event.operation_id, event.data["rule"]) == ("door.refused", of_prod, refusal.value.rule)


async def test_whoever_the_rule_names_sees_it(tmp_path: Path) -> None:
    async with open_room(tmp_path, rows=OPEN_BUT_PROD) as room:
        (of_prod,) = await asked(room, "prod")
        assert (await lookout(room, OPEN_BUT_PROD).operation(of_prod, SRE)).id == of_prod
        with pytest.raises(Refused, match="no operation #99"):
            await lookout(room, OPEN_BUT_PROD).operation(99, DEV)


async def test_lists_leave_out_what_is_hidden_and_count_what_lies_between(tmp_path: Path) -> None:
    async with open_room(tmp_path, rows=OPEN_BUT_PROD) as room:
        p1, d1, p2, d2, p3, p4, d3 = await asked(room, "prod", "dev", "prod", "dev", "prod", "prod", "dev")
        looking = lookout(room, OPEN_BUT_PROD)
        first = await looking.operations(DEV, Filter(limit=2))
        assert ([o.id for o in first.found], first.hidden, first.older) == ([d3, d2], 2, True)
        second = await looking.operations(DEV, Filter(limit=2, before_id=d2))
        assert ([o.id for o in second.found], second.hidden, second.older) == ([d1], 2, False)
        of_prod = await looking.operations(DEV, Filter(environment="prod"))
        assert (of_prod.found, of_prod.hidden) == ((), 4)
        everything = await looking.operations(SRE, Filter())
        assert [o.id for o in everything.found] == [d3, p4, p3, d2, p2, d1, p1]
        assert everything.hidden == 0
        nothing = await looking.operations(GUEST, Filter())
        assert (nothing.found, nothing.hidden) == ((), 7)


async def test_what_waits_is_parted_in_the_same_way(tmp_path: Path) -> None:
    async with open_room(tmp_path, rows=OPEN_BUT_PROD) as room:
        operations = [await room.ask(environment=environment) for environment in ("prod", "dev", "prod")]
        view = lookout(room, OPEN_BUT_PROD).among(DEV, operations)
        assert ([o.id for o in view.found], view.hidden) == ([operations[1].id], 2)


async def test_the_record_of_an_environment_is_seen_by_its_rule(tmp_path: Path) -> None:
    async with open_room(tmp_path, rows=OPEN_BUT_PROD) as room:
        await asked(room, "prod", "dev")
        refused = {"rule": "status:view in prod", "environment": "prod"}
        await room.engine.record("door.refused", "guest", "No.", refused)
        await room.engine.record("bot.started", "bot", "Here.")
        view = await lookout(room, OPEN_BUT_PROD).audit(DEV, AuditFilter())
        assert [(event.name, event.environment) for event in view.found] == [
            ("bot.started", ""), ("operation.approved", "dev"), ("operation.requested", "dev"),
        ]  # fmt: skip
        assert (view.hidden, view.older) == (2, False)
        newest = await lookout(room, OPEN_BUT_PROD).audit(DEV, AuditFilter(limit=2))
        assert (len(newest.found), newest.hidden, newest.older) == (2, 1, True)
        assert (await lookout(room, OPEN_BUT_PROD).audit(SRE, AuditFilter())).hidden == 0


async def test_what_belongs_to_no_environment_is_hidden_from_those_who_may_only_look_at_some(tmp_path: Path) -> None:
    async with open_room(tmp_path, rows=ONLY_DEV) as room:
        await asked(room, "dev")
        await room.engine.record("config.reloaded", "bot", "Rights.", {"environment": CONTROL})
        await room.engine.record("bot.started", "bot", "Here.")
        view = await lookout(room, ONLY_DEV).audit(SRE, AuditFilter())
        assert {event.environment for event in view.found} == {"dev"}
        assert view.hidden == 2


async def test_without_a_rule_nothing_is_seen(tmp_path: Path) -> None:
    async with open_room(tmp_path, rows=RUNS) as room:
        (of_dev,) = await asked(room, "dev")
        assert (await lookout(room, RUNS).operations(SRE, Filter())).found == ()
        assert (await lookout(room, RUNS).audit(SRE, AuditFilter())).found == ()
        with pytest.raises(Refused, match="no such rule"):
            await lookout(room, RUNS).operation(of_dev, SRE)


async def test_a_refusal_at_the_command_line_says_its_door(tmp_path: Path) -> None:
    async with open_room(tmp_path, rows=OPEN_BUT_PROD) as room:
        (of_prod,) = await asked(room, "prod")
        here = replace(DEV, door=Door.COMMAND_LINE)
        for _ in range(2):
            with pytest.raises(Refused):
                await lookout(room, OPEN_BUT_PROD).operation(of_prod, here)
        (event,) = await room.engine.audit(AuditFilter(actor="dev", environment="prod", limit=1))
        assert (event.data["door"], event.count) == ("command line", 2)


async def test_a_page_says_whether_there_is_more_also_to_those_who_see_everything(tmp_path: Path) -> None:
    async with open_room(tmp_path, rows=OPEN_BUT_PROD) as room:
        await asked(room, "prod", "dev", "prod", "dev")
        looking = lookout(room, OPEN_BUT_PROD)
        for limit, older in ((3, True), (4, False), (5, False)):
            assert (await looking.operations(SRE, Filter(limit=limit))).older is older
        events = (await looking.audit(SRE, AuditFilter())).found
        assert len(events) > 2
        for limit, older in ((len(events) - 1, True), (len(events), False)):
            page = await looking.audit(SRE, AuditFilter(limit=limit))
            assert (page.found, page.older) == (events[:limit], older)


async def test_what_is_hidden_is_counted_as_far_as_the_page_reaches(tmp_path: Path) -> None:
    async with open_room(tmp_path, rows=OPEN_BUT_PROD) as room:
        await asked(room, "prod", "dev", "prod", "dev", "prod", "dev", "prod", "dev")
        looking = lookout(room, OPEN_BUT_PROD)
        page = await looking.operations(DEV, Filter(limit=3))
        assert (len(page.found), page.hidden, page.older) == (3, 2, True)
        for number in range(4):
            await room.engine.record("door.refused", "guest", f"{number}", {"rule": f"{number}", "environment": "prod"})
            await room.engine.record("config.loaded", "bot", f"{number}")
        record = await looking.audit(DEV, AuditFilter(limit=3))
        assert (len(record.found), record.hidden, record.older) == (3, 2, True)


async def test_the_record_has_a_rule_of_its_own(tmp_path: Path) -> None:
    rows = (*RUNS, PolicyRow(Action.OPERATION_VIEW, "*", requesters=("*",)),
            PolicyRow(Action.AUDIT_VIEW, "*", requesters=("sre",)))  # fmt: skip
    async with open_room(tmp_path, rows=rows) as room:
        await asked(room, "dev")
        assert (await lookout(room, rows).operations(DEV, Filter())).hidden == 0
        assert (await lookout(room, rows).audit(DEV, AuditFilter())).found == ()


async def test_a_refusal_says_how_to_get_there(tmp_path: Path) -> None:
    async with open_room(tmp_path, rows=OPEN_BUT_PROD) as room:
        (of_prod,) = await asked(room, "prod")
        with pytest.raises(Refused) as refusal:
            await lookout(room, OPEN_BUT_PROD).operation(of_prod, DEV)
        assert "sre" in refusal.value.hint

"""Before the start, the roles of whoever asked and approved are read again; what Discord cannot say is on record."""

from dataclasses import replace
from pathlib import Path

import pytest

from bot.errors import Refused, Unavailable, Unreachable
from bot.ops.model import NOT_CONFIRMED, Operation, Request, Status, Verdict
from bot.people import People
from bot.policy import Action, Actor, Door, PolicyRow, seeded_rows
from bot.services.roster import DiscordRoster
from tests.unit.engine_room import DEV, DEV2, OWNER, SRE, SRE2, Crew, Room, open_room

AT_THE_HOST = replace(SRE, door=Door.COMMAND_LINE)
UNCONFIRMED = replace(AT_THE_HOST, confirmed=False)


def crew() -> Crew:
    return Crew.of(DEV, DEV2, SRE, SRE2, OWNER)


async def approved(room: Room, requester: Actor = DEV, by: Actor = SRE) -> Operation:
    return await room.approve(await room.ask(requester, environment="prod"), by)


async def reason(room: Room, operation: Operation) -> str:
    return await room.engine.stale_because(await room.engine.operation(operation.id))


async def test_who_still_holds_the_role_lets_it_start(tmp_path: Path) -> None:
    roster = crew()
    async with open_room(tmp_path, roster=roster) as room:
        room.deploy.gate.set()
        asked = await approved(room)
        await room.start()
        assert (await room.becomes(asked, Status.SUCCEEDED)).roles_confirmed
        assert sorted(roster.asked) == ["dev", "sre"]


@pytest.mark.parametrize(("person", "roles", "says"), [
    ("sre", frozenset({"dev"}), "sre approved it and no longer holds the role sre."),
    ("sre", frozenset(), "sre approved it and no longer holds the role sre."),
    ("sre", None, "sre approved it and has left the server since."),
    ("dev", frozenset(), "dev asked for it and no longer holds the role dev or sre."),
    ("dev", None, "dev asked for it and has left the server since."),
])  # fmt: skip
async def test_who_lost_the_role_or_left_makes_it_stale_and_nothing_is_dispatched(
    tmp_path: Path, person: str, roles: frozenset[str] | None, says: str
) -> None:
    roster = crew()
    async with open_room(tmp_path, roster=roster) as room:
        asked = await approved(room)
        roster.roles[person] = roles
        await room.start()
        stale = await room.becomes(asked, Status.STALE)
        assert stale.reason == says
        assert room.deploy.dispatched == []


async def test_who_is_no_longer_in_the_people_table_makes_it_stale(tmp_path: Path) -> None:
    roster = crew()
    async with open_room(tmp_path, roster=roster) as room:
        asked = await approved(room)
        del roster.duties["sre"]
        assert await reason(room, asked) == "sre approved it and is no longer in the people table."
        del roster.duties["dev"]
        assert await reason(room, asked) == "dev asked for it and is no longer in the people table."


async def test_each_of_two_voters_is_looked_at(tmp_path: Path) -> None:
    rows = (PolicyRow(Action.DEPLOY, "prod", ("dev",), approvers=("sre",), quorum=2),)
    roster = crew()
    async with open_room(tmp_path, roster=roster, rows=rows) as room:
        asked = await room.approve(await room.ask(environment="prod"), SRE)
        asked = await room.approve(asked, OWNER)
        assert asked.status is Status.APPROVED
        assert await reason(room, asked) == ""
        roster.roles["owner"] = frozenset({"owner"})
        assert await reason(room, asked) == "owner approved it and no longer holds the role sre."


async def test_whoever_approved_the_own_request_must_still_hold_the_role_for_that(tmp_path: Path) -> None:
    both = replace(SRE, roles=frozenset({"dev", "sre"}))
    rows = (PolicyRow(Action.DEPLOY, "prod", ("dev",), approvers=("sre",), quorum=1, self_approval=True),)
    roster = Crew.of(both)
    async with open_room(tmp_path, roster=roster, rows=rows) as room:
        asked = await approved(room, both, both)
        assert await reason(room, asked) == ""
        roster.roles["sre"] = frozenset({"dev"})
        assert await reason(room, asked) == "sre approved it and no longer holds the role sre."


async def test_a_requester_who_could_do_it_alone_and_no_longer_can_makes_it_stale(tmp_path: Path) -> None:
    """A rollback to a verified version needs nobody else when an sre asks; without that role it would."""
    roster = crew()
    both = {"sre": frozenset({"sre", "dev"})}
    roster.roles |= both
    async with open_room(tmp_path, roster=roster) as room:
        room.deploy.gate.set()
        deployed = await approved(room)
        await room.start()
        await room.becomes(deployed, Status.SUCCEEDED)
        await room.executors.pop().close()
        alone = await room.ask(SRE, environment="prod", kind="rollback")
        assert (alone.status, alone.quorum) == (Status.APPROVED, 0)
        assert await reason(room, alone) == ""
        roster.roles["sre"] = frozenset({"dev"})
        says = "sre asked for it as one who needs nobody else, and no longer holds the role for that."
        assert await reason(room, alone) == says


async def test_while_discord_cannot_be_asked_a_deploy_waits_in_sight_and_then_runs(tmp_path: Path) -> None:
    roster = crew()
    roster.away = True
    async with open_room(tmp_path, roster=roster) as room:
        room.deploy.gate.set()
        asked = await approved(room)
        await room.start()

        async def waits() -> bool:
            return "a check before the start: Discord" in (await room.engine.operation(asked.id)).waiting_for

        await room.until(waits)
        assert room.deploy.dispatched == []
        roster.away = False
        room.clock.advance(seconds=6)
        assert (await room.becomes(asked, Status.SUCCEEDED)).roles_confirmed
        assert NOT_CONFIRMED not in await room.names(asked)


async def test_a_definite_word_about_one_counts_while_discord_does_not_answer_about_another(tmp_path: Path) -> None:
    roster = crew()
    roster.unheard.add("sre")
    roster.roles["dev"] = None
    async with open_room(tmp_path, roster=roster) as room:
        asked = await room.approve(await room.ask(environment="prod", kind="rollback"), SRE)
        assert await reason(room, asked) == "dev asked for it and has left the server since."


async def test_roles_that_have_gone_are_not_on_record_as_confirmed(tmp_path: Path) -> None:
    roster = crew()
    async with open_room(tmp_path, roster=roster) as room:
        asked = await room.ask(UNCONFIRMED, environment="dev")
        roster.roles["sre"] = frozenset()
        assert "no longer holds" in await reason(room, asked)
        assert "roles.confirmed" not in await room.names(asked)


async def test_a_rollback_goes_by_the_people_table_and_says_so_once(tmp_path: Path) -> None:
    roster = crew()
    roster.away = True
    async with open_room(tmp_path, roster=roster) as room:
        asked = await room.approve(await room.ask(environment="prod", kind="rollback"), SRE)
        for _ in range(3):
            assert await reason(room, asked) == ""
        assert not (await room.engine.operation(asked.id)).roles_confirmed
        (mark,) = [event for event in await room.engine.events(asked.id) if event.name == NOT_CONFIRMED]
        assert mark.text.startswith("Discord could not be asked about the roles of dev and sre: ")
        roster.away = False
        assert await reason(room, asked) == ""
        assert (await room.engine.operation(asked.id)).roles_confirmed
        assert (await room.names(asked))[-1] == "roles.confirmed"


async def test_even_by_the_people_table_a_duty_that_was_taken_away_counts(tmp_path: Path) -> None:
    roster = crew()
    roster.away = True
    async with open_room(tmp_path, roster=roster) as room:
        asked = await room.approve(await room.ask(environment="prod", kind="rollback"), SRE)
        roster.duties["sre"] = frozenset({"dev"})
        assert "sre approved it and no longer holds the role sre" in await reason(room, asked)


async def test_what_was_asked_for_at_the_command_line_goes_by_the_people_table_too(tmp_path: Path) -> None:
    roster = crew()
    roster.away = True
    async with open_room(tmp_path, roster=roster) as room:
        here = await room.ask(replace(DEV, door=Door.COMMAND_LINE))
        there = await room.ask(DEV)
        assert await reason(room, here) == ""
        with pytest.raises(Unavailable, match="Discord cannot be reached"):
            await room.engine.stale_because(there)


async def test_asked_for_and_approved_without_discord_is_marked_and_recorded(tmp_path: Path) -> None:
    async with open_room(tmp_path, roster=crew()) as room:
        asked = await room.ask(replace(DEV, door=Door.COMMAND_LINE, confirmed=False), environment="prod")
        assert (asked.door, asked.roles_confirmed) == (Door.COMMAND_LINE, False)
        assert (await room.engine.operation(asked.id)).door is Door.COMMAND_LINE
        voted = await room.approve(asked, UNCONFIRMED)
        assert not voted.roles_confirmed
        marks = [e for e in await room.engine.events(asked.id) if e.name == NOT_CONFIRMED]
        assert [event.actor for event in marks] == ["sre", "dev"]
        vote = next(e for e in await room.engine.events(asked.id) if e.name == "vote.approve")
        assert vote.data["door"] == "command line"


async def test_a_confirmed_visitor_at_the_command_line_leaves_no_such_mark(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        asked = await room.ask(environment="prod")
        assert (await room.approve(asked, AT_THE_HOST)).roles_confirmed
        assert NOT_CONFIRMED not in await room.names(asked)


async def test_a_refused_visitor_is_recorded_with_door_and_place_and_without_the_mark(tmp_path: Path) -> None:
    stranger = Actor("intruder", None, frozenset(), known=False, door=Door.COMMAND_LINE, confirmed=False)
    async with open_room(tmp_path) as room:
        with pytest.raises(Refused):
            await room.engine.request(Request("k", "deploy", "prod", {"service": "app"}), stranger)
        asked = await room.ask(environment="prod")
        with pytest.raises(Refused):
            await room.engine.vote(asked.id, stranger, Verdict.APPROVE, digest=asked.digest)
        (pressed,) = [e for e in await room.engine.events(asked.id) if e.name == "vote.refused"]
        assert pressed.data["door"] == "command line"
        (event,) = [e for e in await room.engine.events() if e.name == "request.refused"]
        assert (event.environment, event.service, event.data["door"]) == ("prod", "app", "command line")
        assert (await room.engine.operation(asked.id)).roles_confirmed
        assert NOT_CONFIRMED not in await room.names(asked)


class Guild:
    """What Discord says of each account."""

    def __init__(self, **members: tuple[int, ...] | None) -> None:
        self.members = {int(account[1:]): roles for account, roles in members.items()}

    async def member_roles(self, user_id: int) -> tuple[int, ...] | None:
        if user_id not in self.members:
            raise Unreachable("discord", "Discord cannot be reached: no connection.")
        return self.members[user_id]


async def test_the_roles_of_all_accounts_of_a_person_count_within_the_duties() -> None:
    people = People(
        accounts=[("sre", 1), ("sre", 2), ("dev", 3), ("gone", 4), ("lost", 5)],
        roles={"dev": 10, "sre": 20, "owner": 30},
        duties={"sre": ("sre", "dev"), "dev": ("dev",), "gone": ("sre",), "lost": ("sre",)},
    )
    roster = DiscordRoster(Guild(a1=(10, 30), a2=(20,), a3=(20, 99), a4=None), people)
    assert await roster.roles_of("sre") == frozenset({"sre", "dev"})
    assert await roster.roles_of("dev") == frozenset()
    assert await roster.roles_of("gone") is None
    assert await roster.roles_of("nobody") is None
    with pytest.raises(Unreachable):
        await roster.roles_of("lost")
    assert roster.duties_of("sre") == frozenset({"sre", "dev"})
    assert roster.duties_of("nobody") is None


async def test_the_policy_is_looked_at_before_discord_is_asked(tmp_path: Path) -> None:
    roster = crew()
    roster.away = True
    async with open_room(tmp_path, roster=roster) as room:
        asked = await approved(room)
        rows = tuple(row for row in seeded_rows() if row.action is not Action.DEPLOY)
        async with open_room(tmp_path / "other", rows=rows, roster=roster) as other:
            assert "policy" in await other.engine.stale_because(asked)
        assert roster.asked == []

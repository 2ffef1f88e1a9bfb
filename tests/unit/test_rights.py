"""Who may do what, in words: true for the person, and for everybody by name."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from bot.errors import Unavailable
from bot.people import People
from bot.policy import Action, Actor, Door, PolicyRow, seeded_rows
from bot.ui import rights
from bot.ui.house import House
from bot.ui.rights import held_lines, rights_lines, standings, verdict, verdict_over, whocan_text

ROLES = {"owner": 1, "sre": 2, "dev": 3}
DUTIES = {"owner": ("owner", "sre"), "sre": ("sre",), "sre2": ("sre",), "dev": ("dev",), "guest": ()}
PEOPLE = People(accounts=[(name, 10 + n) for n, name in enumerate(DUTIES)], roles=ROLES, duties=DUTIES)


@dataclass
class Rows:
    policy_rows: tuple[PolicyRow, ...] = field(default_factory=seeded_rows)


@dataclass
class Places:
    environments: Mapping[str, Any] = field(default_factory=lambda: {"dev": None, "prod": None})


@dataclass
class Roster:
    """Discord's word on each person: their duties, unless a test says otherwise; `silent` people cannot be asked."""

    held: dict[str, frozenset[str] | None] = field(default_factory=dict)
    silent: frozenset[str] = frozenset()
    slow: frozenset[str] = frozenset()

    async def roles_of(self, person: str) -> frozenset[str] | None:
        if person in self.slow:
            await asyncio.Event().wait()
        if person in self.silent:
            raise Unavailable("discord", "Discord does not answer.")
        return self.held.get(person, PEOPLE.duties(person))

    def duties_of(self, person: str) -> frozenset[str] | None:
        return PEOPLE.duties(person)


@dataclass
class Parts:
    settings: Rows = field(default_factory=Rows)
    catalog: Places = field(default_factory=Places)
    people: People = PEOPLE
    roster: Roster = field(default_factory=Roster)


def house(**parts: Any) -> House:
    """The few parts of the house that speak of rights."""
    return cast(House, Parts(**parts))


def person(name: str) -> Actor:
    return PEOPLE.person(name, door=Door.DISCORD, discord_roles=PEOPLE.duties(name))


def test_help_tells_alone_from_with_an_approval() -> None:
    assert verdict(house(), person("dev"), Action.DEPLOY) == "you: dev; prod if approved"
    assert verdict(house(), person("guest"), Action.DEPLOY) == "you: no"
    assert verdict(house(), person("dev"), Action.STATUS_VIEW) == "you: yes"
    assert verdict(house(), person("guest"), Action.SELF_VIEW) == "you: yes"
    assert verdict(house(), person("dev"), Action.RELOAD) == "you: no"
    assert verdict(house(), person("sre"), Action.RELOAD) == "you: control if approved"


def test_help_names_where_one_may_look_once_a_row_tells_environments_apart() -> None:
    rows = (
        PolicyRow(Action.STATUS_VIEW, "*", requesters=("*",)),
        PolicyRow(Action.STATUS_VIEW, "prod", requesters=("sre",)),
    )
    parted = house(settings=Rows(rows))
    assert verdict(parted, person("dev"), Action.STATUS_VIEW) == "you: dev, control"
    assert verdict(parted, person("sre"), Action.STATUS_VIEW) == "you: dev, prod, control"
    assert verdict(parted, person("guest"), Action.STATUS_VIEW) == "you: no"
    told = "".join(rights_lines(parted, person("dev")))
    assert "no · status:view in prod" in told


def test_help_says_that_deciding_about_an_operation_depends_on_whose_it_is() -> None:
    assert (
        verdict_over(house(), person("sre"), Action.OPERATION_CANCEL)
        == "you: your own, and others' in dev, prod, control"
    )
    assert verdict_over(house(), person("dev"), Action.OPERATION_CLOSE) == "you: your own, and others' in dev"
    assert verdict_over(house(), person("sre"), Action.OPERATION_WITHDRAW) == "you: your own vote"
    stranger = Actor("77", 77, frozenset({"sre"}), known=False)
    assert verdict_over(house(), stranger, Action.OPERATION_CANCEL) == "you: no"


def test_whoami_names_what_has_no_effect_and_what_is_not_in_force() -> None:
    lines = list(held_lines(person("dev"), frozenset({"dev", "sre"}), frozenset({"dev", "owner"})))
    assert lines[0] == "roles that count: dev"
    assert lines[1].startswith("without effect: sre,")
    assert lines[2].startswith("not in force: owner,")
    assert list(held_lines(person("dev"), frozenset({"dev"}), frozenset({"dev"}))) == ["roles that count: dev"]


def test_every_right_stands_with_its_reason() -> None:
    text = "\n".join(rights_lines(house(), person("dev")))
    assert "yes · deploy:run in prod" in text
    assert "no · operation:approve of deploy:run in prod" in text
    assert "sre may approve; you are dev" in text


async def told(action: Action, environment: str, **parts: Any) -> str:
    opened = house(**parts)
    return whocan_text(opened, action, environment, await standings(opened), 3900)


async def test_whocan_names_those_who_may_ask_and_those_who_may_approve() -> None:
    text = await told(Action.DEPLOY, "prod")
    assert "Rule: dev or sre may ask, and 1 of sre must approve, not the requester." in text
    assert "may ask: dev, owner, sre, sre2" in text
    assert "may approve (1 must): owner, sre, sre2" in text
    assert "may approve" not in await told(Action.DEPLOY, "dev")


async def test_whocan_names_those_who_only_lack_the_role_and_those_who_have_left() -> None:
    held = {"sre2": frozenset[str](), "owner": None}
    text = await told(Action.ROLLBACK, "prod", roster=Roster(held))
    assert "may approve (1 must): sre\n" in text
    assert text.count("could, but lacks the Discord role now: owner, sre2") == 2
    assert "not in this Discord server: owner" in text


async def test_whocan_says_when_discord_could_not_be_asked() -> None:
    text = await told(Action.DEPLOY, "prod", roster=Roster(silent=frozenset({"sre"})))
    assert "may approve (1 must): owner, sre, sre2" in text
    assert "could not be asked about sre: by the people table, roles not confirmed" in text


async def test_whocan_waits_for_nobody_who_cannot_be_asked_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "ASK_WITHIN_S", 0.05)
    text = await told(Action.DEPLOY, "prod", roster=Roster({"sre2": frozenset()}, slow=frozenset({"dev"})))
    assert "could not be asked about dev:" in text
    assert "may ask: dev, owner, sre\n" in text


async def test_whocan_says_that_nobody_may_where_there_is_no_rule() -> None:
    assert "nobody may do that" in await told(Action.RELOAD, "dev")

"""Every door times every right: nobody passes without a grant, whoever holds it does, and what cannot be read refuses.

The table is generated from what there is: the slash commands with their gates, the buttons and modals by `Press`, the
commands of the host's command line. A new one without a place in this table fails here. The house is the real one over
the sandbox's Discord; the guest is a person of the configuration without any role, dev and sre hold theirs.
"""

import argparse
import asyncio
import io
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import discord
import pytest
from discord import app_commands
from discord.ext import commands
from sqlalchemy import insert, update

from bot.console import arguments
from bot.console.command import do
from bot.console.errands import ERRANDS
from bot.console.paper import Paper
from bot.console.session import Session
from bot.db.tables import locks, operations
from bot.errors import Refused, Unavailable
from bot.ops.engine import Engine
from bot.ops.model import Operation, Request, Status, Verdict
from bot.ops.record import AuditFilter
from bot.policy import CONTROL, RUNS, Action, Actor, Door, Facts, authorise, places, seeded_rows
from bot.ui import card
from bot.ui.card import SHARE_ID, Press
from bot.ui.gate import action_of
from cogs import EXTENSIONS
from tests.wire.discord_world import ran, settled
from tests.wire.front_room import FrontRoom, cast_roles, open_front_room
from tests.wire.test_handles import Button, page_of_history, question, shown

ROOT = Path(__file__).resolve().parents[2]
DECIDED = {
    "ops approve": Action.OPERATION_APPROVE,
    "ops deny": Action.OPERATION_DENY,
    "ops withdraw": Action.OPERATION_WITHDRAW,
    "ops cancel": Action.OPERATION_CANCEL,
    "ops resume": Action.OPERATION_RESUME,
    "ops close": Action.OPERATION_CLOSE,
}
"""The commands whose gate only lets one look: what is asked for then is decided by the engine."""
PRESSED = {
    Press.APPROVE: Action.OPERATION_APPROVE,
    Press.DENY: Action.OPERATION_DENY,
    Press.CANCEL: Action.OPERATION_CANCEL,
    Press.RETRY: Action.DEPLOY,
    Press.ROLL_BACK: Action.ROLLBACK,
    Press.NEWEST: Action.DEPLOY,
    Press.LOG: Action.OPERATION_VIEW,
    Press.DETAILS: Action.OPERATION_VIEW,
    Press.LOOK_AGAIN: Action.OPERATION_RESUME,
    Press.CLOSE: Action.OPERATION_CLOSE,
    Press.CONFIRM: Action.DEPLOY,
    Press.OLDER: Action.OPERATION_VIEW,
}
MODALS = (Press.DENY, Press.CLOSE)
ASKS_FIRST = {Press.RETRY, Press.ROLL_BACK}
"""These answer with a question; the row is written when it is answered (`CONFIRM`)."""
VIEWS = {
    Action.OPERATION_VIEW, Action.STATUS_VIEW, Action.AUDIT_VIEW, Action.SELF_VIEW,
    Action.ALERT_VIEW, Action.METRICS_VIEW, Action.METRICS_QUERY,
}  # fmt: skip
DEV_MAY = VIEWS - {Action.METRICS_QUERY} | {Action.DEPLOY, Action.ROLLBACK, Action.ALERT_ACK, Action.SILENCE_WRITE}
"""What the seeded policy grants to dev, in dev; the operations that others are asked about are the owner's, in prod."""
OPTIONS = {
    "service": "app", "reason": "Because.", "action": "deploy:run", "environment": "dev", "alert": "A1",
    "matchers": 'environment="dev"', "silence": "0a1b2c3d", "window": "0a1b2c3d", "length": "1h", "until": "1h",
    "person": "sre2", "to": "sre2", "panel": "cpu", "promql": "up",
}  # fmt: skip
WATCHES = ("alerts", "silence", "maintenance", "oncall", "handover", "metrics")
"""Commands that need sections of the configuration which these houses do not have: what they do for those who may is
looked at where there are servers behind them (`tests/wire`). Here they are held against those who may not."""
WORDS = {
    "deploy": ["app", "dev", "--no-wait", "--yes"],
    "rollback": ["app", "dev", "--no-wait", "--yes"],
    "ops deny": ["--reason", "Because."],
    "ops close": ["--reason", "Because."],
}
READS_NO_ROW = {"config show", "whocan"}
"""These tell what stands in the configuration, which is in memory."""
HELD = "held-by-an-interrupted-one"


@dataclass(frozen=True)
class Way:
    """A door and what is done there. `knock` does it as a person, to that operation, and returns the answer."""

    door: str
    name: str
    action: Action
    knock: Callable[[FrontRoom, str, Operation | None], Awaitable[str]]

    @property
    def changes(self) -> bool:
        """Whether it writes rows when it is allowed."""
        return self.action not in VIEWS and self.name != "config show"

    def __str__(self) -> str:
        return f"{self.door}: {self.name}"


# ---- the doors, from their registries ------------------------------------------------------------------------------


async def loaded() -> list[app_commands.Command[Any, ..., Any]]:
    bot = commands.Bot(command_prefix=commands.when_mentioned, intents=discord.Intents.none())
    for extension in EXTENSIONS:
        await bot.load_extension(extension)
    return [command for command in bot.tree.walk_commands() if isinstance(command, app_commands.Command)]


def slash(command: app_commands.Command[Any, ..., Any]) -> Way:
    gate = action_of(command)
    assert gate is not None, f"/{command.qualified_name} has no gate"
    name, needed = command.qualified_name, [p.display_name for p in command.parameters if p.required]

    async def knock(room: FrontRoom, person: str, operation: Operation | None) -> str:
        options = {n: str(operation.id) if n == "operation" and operation else OPTIONS[n] for n in needed}
        if name == "rollback":
            options["environment"] = "dev"
        answer = await ran(room.part, name, "answered", "timeout", user=person, **options)
        return str(answer["text"])

    return Way("slash command", name, DECIDED.get(name, gate), knock)


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser()
    arguments.add_parsers(whole.add_subparsers(dest="command"))
    return whole


def host(name: str) -> Way:
    async def knock(room: FrontRoom, person: str, operation: Operation | None) -> str:
        words = [*name.split(), *([str(operation.id)] if operation else []), *WORDS.get(name, [])]
        if name == "ops approve" and operation is not None:
            words += ["--digest", operation.digest[:6]]
        options = parser().parse_args([*words, "--config", "none"])
        out, held = io.StringIO(), frozenset(cast_roles(person))
        actor = room.house.people.person(person, door=Door.COMMAND_LINE, discord_roles=held)
        paper = Paper(room.house.redactor, out=out, err=out)
        return await answer_of(do(Session(room.house, actor, paper, name), options), out)

    return Way("command line", name, DECIDED.get(name, ERRANDS[name].action), knock)


async def answer_of(done: Awaitable[object], out: io.StringIO) -> str:
    try:
        await done
    except Refused as refusal:
        return f"Refused. {refusal}"
    except Unavailable as error:
        return f"Not possible now. {error}"
    return out.getvalue()


def watches(way: Way) -> bool:
    return way.name.split(" ")[0] in WATCHES


SLASH = [slash(command) for command in asyncio.run(loaded())]
HOST = [host(name) for name in ERRANDS]
CHANGING = [way for way in (*SLASH, *HOST) if way.changes]


def test_every_button_and_every_right_has_its_place_in_the_table() -> None:
    assert set(PRESSED) == set(Press)
    assert {name for name in vars(card) if name.endswith(("_PREFIX", "_ID"))} == {
        "PRESS_PREFIX",
        "MENU_PREFIX",
        "SHARE_ID",
    }
    assert {way.action for way in (*SLASH, *HOST)} | set(PRESSED.values()) == set(Action)


# ---- a house in which everything is readable -----------------------------------------------------------------------


@pytest.fixture(scope="module")
async def room(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FrontRoom]:
    path: Path = tmp_path_factory.mktemp("doors")
    async with open_front_room(path) as opened:
        file = path / "quarterdeck.toml"
        file.write_text(file.read_text(encoding="utf-8") + "# something to read again\n", encoding="utf-8")
        await opened.becomes(await opened.ask("sre", "dev"), Status.SUCCEEDED)
        yield opened


async def subject(room: FrontRoom, way: Way) -> Operation | None:
    """The operation of the owner's to which it is done, in the state in which it can be done."""
    if way.name == "ops show":
        return await room.ask("owner", "prod")
    if way.name not in DECIDED:
        return None
    if way.action in (Action.OPERATION_RESUME, Action.OPERATION_CLOSE):
        return await interrupted(room, {})
    if way.action is not Action.OPERATION_WITHDRAW:
        return await room.ask("owner", "prod")
    await interrupted(room, {"lock": HELD})
    return await approved(room, await room.ask("owner", "prod", lock=HELD))


async def interrupted(room: FrontRoom, params: dict[str, str]) -> Operation:
    asked = await room.ask("owner", "prod", end="interrupted", **params)
    if params and any(lock.resource == f"prod/{HELD}" for lock in await room.house.engine.locks()):
        return await room.house.engine.cancel(asked.id, room.person("owner"))  # another one holds it already
    return await room.becomes(await approved(room, asked), Status.INTERRUPTED)


async def approved(room: FrontRoom, operation: Operation) -> Operation:
    return await room.house.engine.vote(operation.id, room.person("sre"), Verdict.APPROVE, digest=operation.digest)


async def quiet(room: FrontRoom) -> None:
    """Wait until nothing is about to change by itself."""
    async with asyncio.timeout(30):
        while any(
            not operation.waiting_for
            for operation in await room.house.engine.operations(statuses=(Status.APPROVED, Status.RUNNING), limit=500)
        ):
            await asyncio.sleep(0.01)


async def taken_back(room: FrontRoom, operation: Operation | None) -> None:
    """Leave nothing behind that waits."""
    if operation is not None and (await room.house.engine.operation(operation.id)).status in (
        Status.PENDING,
        Status.APPROVED,
    ):
        await room.house.engine.cancel(operation.id, room.person("owner"))


def denied(ways: Iterable[Way]) -> list[tuple[Way, str]]:
    pairs = [(way, "guest") for way in ways if way.action is not Action.SELF_VIEW]
    return pairs + [(way, "dev") for way in ways if way.action not in DEV_MAY]


@pytest.mark.parametrize(("way", "person"), denied([*SLASH, *HOST]), ids=str)
async def test_nobody_passes_a_door_without_the_grant(room: FrontRoom, way: Way, person: str) -> None:
    operation = await subject(room, way)
    await quiet(room)
    before = await room.rows()
    answer = await way.knock(room, person, operation)
    assert "Refused" in answer, answer
    assert await room.rows() == before
    await taken_back(room, operation)


@pytest.mark.parametrize("way", [way for way in (*SLASH, *HOST) if not watches(way)], ids=str)
async def test_whoever_holds_the_grant_passes(room: FrontRoom, way: Way) -> None:
    operation = await subject(room, way)
    await quiet(room)
    before = await room.rows()
    answer = await way.knock(room, "sre", operation)
    assert answer, "no answer at all"
    assert "Refused" not in answer, answer
    assert "broke" not in answer, answer
    await quiet(room)
    assert (await room.rows() != before) is way.changes, answer
    await taken_back(room, operation)


@pytest.mark.parametrize("press", list(Press))
async def test_no_button_acts_for_somebody_without_the_grant(room: FrontRoom, press: Press) -> None:
    button = await shown(room, press)
    await quiet(room)
    before = await room.rows()
    answer = await room.press("guest", button.message, button.handle)
    assert "Refused" in answer["text"], answer["text"]
    assert await room.rows() == before


@pytest.mark.parametrize("press", list(Press))
async def test_a_button_acts_for_whoever_holds_the_grant(room: FrontRoom, press: Press) -> None:
    button = await shown(room, press)
    await quiet(room)
    before = await room.rows()
    answer = await room.press(button.who, button.message, button.handle)
    assert "Refused" not in answer["text"], answer["text"]
    await quiet(room)
    writes = PRESSED[press] not in VIEWS and press not in ASKS_FIRST
    assert (await room.rows() != before) is writes, answer["text"]


@pytest.mark.parametrize("press", MODALS)
async def test_a_form_counts_for_what_one_may_do_when_it_is_sent(room: FrontRoom, press: Press) -> None:
    button = await shown(room, press)
    await quiet(room)
    before = await room.rows()
    opened = await opened_form(room, button)
    room.part.set_roles(button.who, [])
    try:
        sent = await room.part.modal({"user": button.who, "interaction": opened, "fields": {"reason": "Because."}})
        answer = await room._answered(sent["interaction"])
    finally:
        room.part.set_roles(button.who, list(cast_roles(button.who)))
    assert "Refused" in answer["text"], answer["text"]
    assert await room.rows() == before


async def test_an_answer_is_shared_only_by_those_who_may_look(room: FrontRoom) -> None:
    await ran(room.part, "ops list", "answered", user="dev")
    private = [m for m in room.part.messages(channel="ops", user="dev", limit=100)["messages"] if m["ephemeral"]]
    press = {"user": "dev", "message": private[-1]["id"], "custom_id": SHARE_ID}
    room.part.set_roles("dev", [])
    try:
        refused = await room._answered((await room.part.component(press))["interaction"])
    finally:
        room.part.set_roles("dev", list(cast_roles("dev")))
    assert "Refused" in refused["text"]
    shared = await room._answered((await room.part.component(press))["interaction"])
    assert "shared by dev" in shared["text"]


async def opened_form(room: FrontRoom, button: Button) -> str:
    sent = await room.part.component(
        {"user": button.who, "message": str(button.message), "custom_id": f"qd:{button.handle}"}
    )
    answer = await room._answered(sent["interaction"])
    assert answer["state"] == "modal"
    return str(sent["interaction"])


# ---- doors at which no person stands -------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [action for action in Action if action is not Action.SELF_VIEW])
def test_the_clock_holds_no_right_at_all(action: Action) -> None:
    clock = Actor("clock", None, frozenset(), known=False, door=Door.SCHEDULE)
    for place in (*places(action, ("dev", "prod")), "dev", "prod", CONTROL):
        for kind in RUNS:
            assert not authorise(seeded_rows(), clock, action, place, Facts("dev", subject=kind)).allowed


def test_only_the_doors_of_this_table_ask_the_engine_for_anything() -> None:
    asks = re.compile(r"\bengine\.(?:request|vote|withdraw|cancel|close|resume)\(")
    asking = {
        str(path.relative_to(ROOT))
        for folder in ("bot", "cogs")
        for path in (ROOT / folder).rglob("*.py")
        if asks.search(path.read_text(encoding="utf-8"))
    }
    assert asking == {
        "bot/console/errands.py",
        "bot/console/verdicts.py",
        "bot/ui/asking.py",
        "bot/ui/buttons.py",
        "cogs/ops.py",
    }


def test_only_rooms_that_ask_for_the_right_take_alerts_silence_them_or_change_the_watch() -> None:
    acts = re.compile(r"\.(?:ack|unack|set_override)\(|\b(?:silences|service)\.(?:create|extend|expire)\(")
    acting = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for folder in ("bot", "cogs")
        for path in (ROOT / folder).rglob("*.py")
        if acts.search(path.read_text(encoding="utf-8"))
    }
    assert set(acting) == {
        "bot/services/handover.py",  # only for whom it was handed to, who is asked for the right by the answer's room
        "bot/ui/alert_answers.py",
        "bot/ui/alert_presses.py",
        "bot/ui/silence_form.py",
    }
    for name in ("alert_answers", "alert_presses", "silence_form"):
        assert re.search(r"\bdemand(?:_here)?\(", acting[f"bot/ui/{name}.py"]), name


async def test_nothing_can_be_done_over_http(room: FrontRoom) -> None:
    source = (ROOT / "bot" / "inbound" / "health.py").read_text(encoding="utf-8")
    assert set(re.findall(r"router\.add_(\w+)\(", source)) == {"get"}


# ---- one environment hidden ----------------------------------------------------------------------------------------


LOOKING = [
    way
    for way in (*SLASH, *HOST)
    if way.action in VIEWS - {Action.SELF_VIEW} and way.name != "whocan" and not watches(way)
]
"""The doors that show what stands in rows."""
LISTING = [way for way in LOOKING if way.name not in ("ops show", "diff")]


@pytest.fixture(scope="module")
async def parted(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FrontRoom]:
    """A house whose policy lets dev ask for something in prod and look at dev alone."""
    looks = [
        {"action": action.value, "environment": environment, "requesters": who}
        for action in VIEWS - {Action.SELF_VIEW}
        for environment, who in (("dev", ["dev", "sre"]), ("prod", ["sre"]))
    ]
    asks = [
        {"action": "deploy:run", "environment": "dev", "requesters": ["dev", "sre"]},
        {"action": "deploy:run", "environment": "prod", "requesters": ["dev"], "approvers": ["sre"], "quorum": 1},
    ]
    async with open_front_room(tmp_path_factory.mktemp("parted"), changes={"policy": looks + asks}) as opened:
        yield opened


def names(answer: str, operation: Operation) -> bool:
    return re.search(rf"#{operation.id}\b", answer) is not None


@pytest.mark.parametrize("way", LOOKING, ids=str)
async def test_what_a_rule_hides_is_hidden_at_every_door_that_looks(parted: FrontRoom, way: Way) -> None:
    of_prod = await parted.ask("dev", "prod")
    answer = await way.knock(parted, "dev", of_prod if way.name == "ops show" else None)
    assert not names(answer, of_prod), answer
    if way.name in ("ops show", "diff"):
        assert f"Rule {way.action} in prod" in answer
    else:
        assert "you may not see" in answer
    seen = await way.knock(parted, "sre", of_prod if way.name == "ops show" else None)
    assert "you may not see" not in seen or "audit" in way.name  # what belongs to no environment is hidden from both
    assert "Refused" not in seen
    if way.name != "diff" and str(way) != "slash command: ops list":  # that one lists what is one's own, or waits
        assert names(seen, of_prod), seen


@pytest.mark.parametrize("way", LISTING, ids=str)
async def test_what_no_rule_hides_is_still_listed(parted: FrontRoom, way: Way) -> None:
    of_dev = await parted.ask("dev", "dev", end="never")
    await parted.becomes(of_dev, Status.RUNNING)
    answer = await way.knock(parted, "dev", None)
    await parted.house.engine.cancel(of_dev.id, parted.person("dev"))
    assert names(answer, of_dev), answer


@pytest.mark.parametrize("press", [Press.DETAILS, Press.LOG])
async def test_a_button_shows_nothing_of_what_a_rule_hides(parted: FrontRoom, press: Press) -> None:
    of_prod = await parted.ask("dev", "prod", end="failed")
    if press is Press.LOG:
        await approved(parted, of_prod)
        of_prod = await parted.becomes(of_prod, Status.FAILED)
    handles = await parted.drawn(of_prod)
    answer = await parted.press("dev", await parted.message_of(of_prod.card_key), handles[press])
    assert "Rule operation:view in prod" in answer["text"]
    await taken_back(parted, of_prod)


async def test_the_command_line_shows_no_plan_of_what_a_rule_hides(parted: FrontRoom) -> None:
    of_prod, out = await parted.ask("dev", "prod"), io.StringIO()
    options = parser().parse_args(["ops", "approve", str(of_prod.id), "--config", "none"])
    paper = Paper(parted.house.redactor, out=out, err=out)
    answer = await answer_of(do(Session(parted.house, parted.person("dev"), paper, "ops approve"), options), out)
    assert answer.startswith("Refused. Rule operation:view in prod")
    assert of_prod.digest not in out.getvalue()


async def test_no_suggestion_names_what_a_rule_hides(parted: FrontRoom) -> None:
    of_prod = await parted.ask("dev", "prod")
    for person, sees in (("dev", False), ("sre", True)):
        typed = {"user": person, "channel": "ops", "command": "ops show", "option": "operation", "text": ""}
        answer = await settled(parted.part, await parted.part.autocomplete(typed))
        assert (str(of_prod.id) in [choice["value"] for choice in answer["choices"]]) is sees


async def test_a_refusal_about_an_environment_is_found_under_it(parted: FrontRoom) -> None:
    await ran(parted.part, "history", "answered", user="dev2", service="app", environment="prod")
    await ran(parted.part, "audit", "answered", user="dev2", environment="prod")
    await ran(parted.part, "audit", "answered", user="guest")
    by_dev2, by_guest = AuditFilter(actor="dev2", environment="prod"), AuditFilter(actor="guest")
    async with asyncio.timeout(20):  # they are recorded once the answer is out
        while not ((found := await parted.house.engine.audit(by_guest)) and found[0].data["command"] == "audit"):
            await asyncio.sleep(0.01)
    assert {event.environment for event in found} == {""}
    refused = {(event.name, event.data["rule"]) for event in await parted.house.engine.audit(by_dev2)}
    assert refused == {("door.refused", "operation:view in prod"), ("door.refused", "audit:view in prod")}


# ---- each view by its own rule -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def sorted_views(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FrontRoom]:
    """A house in which the three views of prod are granted to different people: dev sees the status there, sre the
    record, and only owner, who holds the role sre as well, the operations. Whoever is sre may roll back in prod.
    """
    rows = [
        {"action": "status:view", "environment": "*", "requesters": ["dev", "sre"]},
        {"action": "operation:view", "environment": "dev", "requesters": ["dev", "sre"]},
        {"action": "operation:view", "environment": "prod", "requesters": ["owner"]},
        {"action": "audit:view", "environment": "dev", "requesters": ["dev", "sre"]},
        {"action": "audit:view", "environment": "prod", "requesters": ["sre"]},
        {"action": "deploy:run", "environment": "prod", "requesters": ["owner"], "approvers": ["sre"], "quorum": 1},
        {"action": "rollback:run", "environment": "prod", "requesters": ["sre"], "approvers": ["sre"], "quorum": 1},
    ]
    async with open_front_room(tmp_path_factory.mktemp("sorted"), changes={"policy": rows}) as opened:
        yield opened


@pytest.mark.parametrize("way", [way for way in LISTING if way.name == "status"], ids=str)
async def test_whoever_sees_the_status_of_an_environment_does_not_see_its_operations_by_that(
    sorted_views: FrontRoom, way: Way
) -> None:
    held = await interrupted(sorted_views, {})
    answer = await way.knock(sorted_views, "dev", None)
    assert "PROD" in answer, "the status itself is granted"
    assert not names(answer, held), answer
    assert re.search(r"\d+ operations? here you may not see, nor the locks they hold", answer), answer
    seen = await way.knock(sorted_views, "owner", None)
    assert names(seen, held), seen
    assert "locks: prod/" in seen
    assert "you may not see" not in seen


async def test_the_status_for_scripts_holds_no_row_that_a_rule_hides(sorted_views: FrontRoom) -> None:
    await interrupted(sorted_views, {})
    options = parser().parse_args(["status", "--json", "--config", "none"])
    for person, sees in (("dev", False), ("sre", False), ("owner", True)):
        out = io.StringIO()
        paper = Paper(sorted_views.house.redactor, as_json=True, out=out, err=io.StringIO())
        await do(Session(sorted_views.house, sorted_views.person(person), paper, "status"), options)
        (prod,) = (one for one in json.loads(out.getvalue())["environments"] if one["name"] == "prod")
        assert (bool(prod["going_on"]), bool(prod["locks"]), prod["hidden"] == 0) == (sees, sees, sees)
        assert all("checkpoint" not in operation for operation in prod["going_on"])


@pytest.mark.parametrize("way", [way for way in LISTING if way.name != "status"], ids=str)
async def test_whoever_sees_the_record_of_an_environment_does_not_see_its_operations_by_that(
    sorted_views: FrontRoom, way: Way
) -> None:
    of_prod = await sorted_views.ask("owner", "prod")
    answer = await way.knock(sorted_views, "sre", None)
    assert names(answer, of_prod) is (way.action is Action.AUDIT_VIEW), answer
    assert not names(await way.knock(sorted_views, "dev", None), of_prod)
    await taken_back(sorted_views, of_prod)


async def test_whoever_may_roll_back_gets_the_versions_to_choose_from(sorted_views: FrontRoom) -> None:
    asked = await sorted_views.ask("owner", "prod")
    served = await sorted_views.becomes(await approved(sorted_views, asked), Status.SUCCEEDED)
    await interrupted(sorted_views, {})
    for person, helped in (("sre", True), ("dev", False)):
        typed = {"user": person, "channel": "ops", "command": "rollback", "option": "to", "text": ""}
        options = {"service": "app", "environment": "prod"}
        answer = await settled(sorted_views.part, await sorted_views.part.autocomplete({**typed, "options": options}))
        values = [choice["value"] for choice in answer["choices"]]
        assert (str(served.id) in values) is helped, (person, answer)


# ---- what cannot be read -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def lawless(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FrontRoom]:
    """A house whose policy speaks of one harmless thing only: for everything else there is no rule to be read."""
    one = {"action": "status:view", "environment": "dev", "requesters": ["owner"]}
    async with open_front_room(tmp_path_factory.mktemp("lawless"), changes={"policy": [one]}) as opened:
        yield opened


@pytest.mark.parametrize("way", [way for way in (*SLASH, *HOST) if way.action is not Action.SELF_VIEW], ids=str)
async def test_without_a_rule_to_read_every_door_refuses(lawless: FrontRoom, way: Way) -> None:
    operation = await forced(lawless, way.action) if way.name in (*DECIDED, "ops show") else None
    before = await lawless.rows()
    answer = await way.knock(lawless, "sre", operation)
    assert "Refused" in answer, answer
    assert await lawless.rows() == before


@pytest.mark.parametrize("press", [p for p in Press if p not in (Press.CONFIRM, Press.OLDER)])
async def test_without_a_rule_to_read_every_button_refuses(lawless: FrontRoom, press: Press) -> None:
    operation = await forced(lawless, PRESSED[press], press)
    handles = await lawless.drawn(operation)
    message = await lawless.message_of(operation.card_key)
    before = await lawless.rows()
    answer = await lawless.press("sre", message, handles[press])
    assert "Refused" in answer["text"], answer["text"]
    assert await lawless.rows() == before


async def forced(room: FrontRoom, action: Action, press: Press | None = None) -> Operation:
    """An operation from before the rules were gone, written past the engine in the state that is needed."""
    before = Engine(store=room.house.store, registry=room.house.registry, policy=seeded_rows())
    operation = await FrontRoom(replace(room.house, engine=before), room.part, room.deploys, room.rollbacks).ask(
        "owner", "prod"
    )
    status = Status.PENDING
    if action in (Action.OPERATION_RESUME, Action.OPERATION_CLOSE):
        status = Status.INTERRUPTED
    elif press in (Press.RETRY, Press.LOG):
        status = Status.FAILED
    elif press is Press.ROLL_BACK:
        status = Status.SUCCEEDED
    if status is Status.PENDING:
        room.house.engine.changed(operation)
        return operation
    result = {"commit": "b" * 40, "previous": {"commit": "a" * 40, "image": ""}}

    def write(db: Any) -> Operation:
        now = room.house.store.now()
        row = {"status": status, "result": result, "started_at": now, "ended_at": now}
        db.execute(update(operations).where(operations.c.id == operation.id).values(**row)).close()
        if status is Status.INTERRUPTED:
            held = {"resource": f"prod/{operation.id}", "operation_id": operation.id, "since": now}
            db.execute(insert(locks).values(**held)).close()
        written = room.house.store.known(db, operation.id)
        room.house.store.touch(db, written)
        return written

    written = await room.house.database.write(write)
    room.house.engine.changed(written)
    return written


@pytest.fixture(scope="module")
async def nameless(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FrontRoom]:
    """A house that knows no person: its people table is empty."""
    async with open_front_room(tmp_path_factory.mktemp("nameless"), changes={"people": []}) as opened:
        yield opened


@pytest.mark.parametrize("way", [*CHANGING, *(way for way in HOST if not way.changes)], ids=str)
async def test_without_people_to_read_nobody_changes_anything(nameless: FrontRoom, way: Way) -> None:
    operation = await forced(nameless, way.action) if way.name in (*DECIDED, "ops show") else None
    before = await nameless.rows()
    answer = await way.knock(nameless, "sre", operation)
    assert "Refused" in answer, answer
    assert await nameless.rows() == before


async def test_without_locks_to_read_nothing_starts(tmp_path: Path) -> None:
    async with open_front_room(tmp_path) as room:
        file = room.house.settings.database_file
        with closing(sqlite3.connect(file)) as beside:
            beside.execute("ALTER TABLE locks RENAME TO locks_away")
            beside.commit()
        for way in CHANGING:
            if way.action in (Action.DEPLOY, Action.ROLLBACK):
                await way.knock(room, "sre", None)
        await asyncio.sleep(2.5)  # the executor looks at least once a second
        assert (room.deploys.ran, room.rollbacks.ran) == ([], [])
        with closing(sqlite3.connect(file)) as beside:
            beside.execute("ALTER TABLE locks_away RENAME TO locks")
            beside.commit()
        await quiet(room)
        assert len(room.deploys.ran) == len([way for way in CHANGING if way.action is Action.DEPLOY])
        assert len(room.rollbacks.ran) == len([way for way in CHANGING if way.action is Action.ROLLBACK])


async def test_without_a_store_to_read_every_door_says_so_and_nothing_changes(tmp_path: Path) -> None:
    async with open_front_room(tmp_path) as room:
        buttons = {press: await shown(room, press) for press in Press if press not in (Press.CONFIRM, Press.OLDER)}
        buttons |= {Press.CONFIRM: await question(room), Press.OLDER: await page_of_history(room)}
        subjects = {way: await subject(room, way) for way in (*SLASH, *HOST)}
        await quiet(room)
        await room.house.database.close()
        before = written(room)
        for way in (*SLASH, *HOST):
            answer = await way.knock(room, "sre", subjects[way])
            if way.action is not Action.SELF_VIEW and way.name not in READS_NO_ROW:
                assert "Not possible now" in answer or "Refused" in answer, f"{way}: {answer}"
        for press, button in buttons.items():
            answer = (await room.press(button.who, button.message, button.handle))["text"]
            assert "Not possible now" in answer, f"{press}: {answer}"
        assert written(room) == before


def written(room: FrontRoom) -> list[list[tuple[Any, ...]]]:
    """The rows as the file holds them."""
    with closing(sqlite3.connect(room.house.settings.database_file)) as beside:
        tables = ("operations", "votes", "locks", "handles")
        return [beside.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables]


async def test_the_same_wish_through_two_doors_is_decided_alike(room: FrontRoom) -> None:
    """The engine is asked with the actor of each door; door and confirmation change nothing about the decision."""
    for person in ("guest", "dev", "sre", "owner"):
        for environment in ("dev", "prod"):
            request = Request(f"twice:{person}:{environment}", "deploy", environment, {"service": "app"})
            verdicts = set()
            for door in (Door.DISCORD, Door.COMMAND_LINE):
                actor = room.house.people.person(person, door=door, discord_roles=frozenset(cast_roles(person)))
                try:
                    verdicts.add((await room.house.engine.preview(request, actor))[1])
                except Refused as refusal:
                    verdicts.add(str(refusal))
            assert len(verdicts) == 1

"""Whom an escalation step calls, and that each step is written down once."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from bot.alert_settings import AlertSettings, EscalationStep, OncallSettings, RouteSettings
from bot.alerts.model import Reason
from bot.alerts.payload import parse
from bot.alerts.rota import Turn
from bot.alerts.store import AlertStore, GroupFilter
from bot.db.database import Database
from bot.services.escalation import Called, Escalation, called
from tests.payloads import alert, payload

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
PEOPLE = ("ada", "ben")
TURN = Turn("ada", NOW - timedelta(days=1), NOW + timedelta(days=1))


def test_a_step_calls_its_role_its_person_or_whoever_is_on_call():
    spare = ("dev",)
    assert called(EscalationStep(after_s=60, role="sre"), TURN, fallback=spare) == Called(roles=("sre",))
    assert called(EscalationStep(after_s=60, person="ben"), TURN, fallback=spare) == Called(people=("ben",))
    step = EscalationStep(after_s=60, oncall=True)
    assert called(step, TURN, fallback=spare) == Called(people=("ada",), detail="on call")


def test_while_nobody_is_on_call_the_routes_role_is_called():
    step = EscalationStep(after_s=60, oncall=True)
    assert called(step, None, fallback=("sre",)) == Called(roles=("sre",), detail="nobody is on call")


class Rows:
    """The rows as far as escalations use them: what is due, until it is written down."""

    def __init__(self, due=(), reminders=()):
        self.due, self.reminders, self.told = list(due), list(reminders), []

    async def due_escalations(self, _now):
        return tuple(self.due)

    async def due_reminders(self, _now):
        return tuple(self.reminders)

    async def on_call(self, _at=None):
        return TURN

    async def escalated(self, group_id, step, *, roles, people, at, detail=""):
        self.told.append((group_id, step, roles, people, at, detail))

    async def reminded(self, group_id, at, *, people, roles=()):
        self.told.append((group_id, "reminder", roles, people, at, ""))


async def test_all_steps_that_are_due_are_taken_in_their_order_and_those_who_took_are_reminded():
    group = SimpleNamespace(id=17, route="prod", acked_by="ben")
    wanted = [EscalationStep(after_s=60, role="sre"), EscalationStep(after_s=120, oncall=True)]
    rows = Rows(
        [
            SimpleNamespace(group=group, step=number, wanted=step, due_at=NOW, fallback=("dev",))
            for number, step in enumerate(wanted, 1)
        ],
        [group],
    )
    await Escalation(store=rows, people=PEOPLE, now=lambda: NOW).look()
    assert rows.told == [
        (17, 1, ("sre",), (), NOW, ""),
        (17, 2, (), ("ada",), NOW, "on call"),
        (17, "reminder", (), ("ben",), NOW, ""),
    ]


@pytest.mark.parametrize(
    ("route_role", "default_role", "gone", "wanted"),
    [
        ("sre", "dev", False, "sre"),
        (None, "dev", False, "dev"),
        ("sre", None, True, "sre"),
    ],
)
async def test_a_step_is_never_silent_whether_nobody_is_on_call_or_somebody_who_has_left(
    tmp_path, route_role, default_role, gone, wanted
):
    oncall = OncallSettings(rota=("ada",), starts_at=NOW + timedelta(days=1))
    route = RouteSettings(
        name="prod", matchers=('severity="critical"',), channel="alerts", role=route_role,
        escalation=(EscalationStep(after_s=60, oncall=True),),
    )  # fmt: skip
    settings = AlertSettings(routes=(route,), role=default_role, oncall=oncall)
    database = await Database.open(tmp_path / "quarterdeck.db")
    store = AlertStore(database, settings=settings, channels={"alerts": 5}, now=lambda: NOW + timedelta(seconds=60))
    body = payload([alert("DiskFull", "db-1", severity="critical")])
    await store.take(body, parse(body), source="test", received_at=NOW)
    await store.apply_next()
    if gone:
        await store.set_override("eve", NOW, NOW + timedelta(days=1), by="ben")
    await Escalation(store=store, people=PEOPLE, now=lambda: NOW + timedelta(seconds=60)).look()
    (group,) = await store.groups(GroupFilter())
    last = (await store.pings(group.id))[-1]
    assert (last.reason, last.roles, last.people) == (Reason.ESCALATION, (wanted,), ())
    assert last.detail == "nobody is on call"
    await database.close()


ROUTE = RouteSettings(
    name="prod", channel="alerts", role="dev", ack_reminder_s=600,
    escalation=(EscalationStep(after_s=60, role="sre"), EscalationStep(after_s=120, person="ben")),
)  # fmt: skip


async def test_over_crashes_each_step_is_taken_once_and_an_ack_ends_them_and_is_reminded_of(tmp_path):
    database = await Database.open(tmp_path / "quarterdeck.db")
    settings, clock = AlertSettings(routes=(ROUTE,)), [NOW]
    store = AlertStore(database, settings=settings, channels={"alerts": 5}, now=lambda: clock[0])
    body = payload([alert("DiskFull", "db-1", severity="critical")])
    await store.take(body, parse(body), source="test", received_at=NOW)
    await store.apply_next()
    (group,) = await store.groups(GroupFilter())

    async def calls(seconds):
        clock[0] = NOW + timedelta(seconds=seconds)
        for _ in range(2):  # twice, by two processes: what was taken is a row
            await Escalation(store=store, people=PEOPLE, now=lambda: clock[0]).look()
        found = sorted(await store.pings(group.id), key=lambda ping: ping.id)
        return [(ping.reason, *ping.roles, *ping.people) for ping in found]

    first = (Reason.FIRST, "dev")
    assert await calls(59) == [first]
    assert await calls(60) == [first, (Reason.ESCALATION, "sre")]
    assert await calls(119) == [first, (Reason.ESCALATION, "sre")]
    steps = [first, (Reason.ESCALATION, "sre"), (Reason.ESCALATION, "ben")]
    assert await calls(5000) == steps
    await store.ack(group.id, "ada", clock[0])
    assert await calls(5599) == steps
    assert await calls(5600) == [*steps, (Reason.REMINDER, "ada")]
    assert await calls(6199) == [*steps, (Reason.REMINDER, "ada")]
    await database.close()

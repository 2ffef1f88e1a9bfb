"""Whom an escalation step calls, and that each step is written down once."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from bot.alert_settings import AlertSettings, EscalationStep, RouteSettings
from bot.alerts.rota import Turn
from bot.services.escalation import Called, Escalation, called

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
TURN = Turn("ada", NOW - timedelta(days=1), NOW + timedelta(days=1))


def test_a_step_calls_its_role_its_person_or_whoever_is_on_call():
    assert called(EscalationStep(after_s=60, role="sre"), TURN) == Called(roles=("sre",))
    assert called(EscalationStep(after_s=60, person="ben"), TURN) == Called(people=("ben",))
    assert called(EscalationStep(after_s=60, oncall=True), TURN) == Called(people=("ada",), detail="on call")


def test_while_nobody_is_on_call_the_routes_role_is_called():
    step = EscalationStep(after_s=60, oncall=True)
    assert called(step, None, fallback=("sre",)) == Called(roles=("sre",), detail="nobody is on call")
    assert called(step, None) == Called(detail="nobody is on call")


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
        [SimpleNamespace(group=group, step=number, wanted=step, due_at=NOW) for number, step in enumerate(wanted, 1)],
        [group],
    )
    settings = AlertSettings(routes=(RouteSettings(name="prod", channel="alerts", role="dev"),))
    await Escalation(store=rows, settings=settings, now=lambda: NOW).look()
    assert rows.told == [
        (17, 1, ("sre",), (), NOW, ""),
        (17, 2, (), ("ada",), NOW, "on call"),
        (17, "reminder", (), ("ben",), NOW, ""),
    ]

"""Calls the next ones when nobody takes an alert, and brings to mind what was taken and goes on.

What is due is decided from rows, and each step is written down in the transaction that calls, so that a crash neither
repeats one nor leaves one out.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from bot.alert_settings import AlertSettings, EscalationStep
from bot.alerts.rota import Turn
from bot.alerts.store import AlertStore
from bot.ops.record import Now, utc_now

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Called:
    """Whom a step calls, by the names of the configuration. `detail` says why, where the names do not."""

    roles: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    detail: str = ""


def called(step: EscalationStep, turn: Turn | None, *, fallback: Iterable[str] = ()) -> Called:
    """Whom that step means now. While nobody is on call, the roles of `fallback` are called: a step is never silent."""
    if step.role is not None:
        return Called(roles=(step.role,))
    if step.person is not None:
        return Called(people=(step.person,))
    if turn is not None:
        return Called(people=(turn.person,), detail="on call")
    return Called(roles=tuple(fallback), detail="nobody is on call")


class Escalation:
    """Looks at the rows at every tick. While nobody is on call, the role of the alert's route is called instead."""

    def __init__(self, *, store: AlertStore, settings: AlertSettings, now: Now = utc_now) -> None:
        self._store = store
        self._roles = {route.name: (route.role,) for route in settings.all_routes if route.role is not None}
        self._default = (settings.role,) if settings.role is not None else ()
        self._now = now

    async def look(self) -> None:
        """Take the steps that are due, and remind of what was taken long ago."""
        now = self._now()
        if due := await self._store.due_escalations(now):
            turn = await self._store.on_call(now)
            for one in due:
                whom = called(one.wanted, turn, fallback=self._roles.get(one.group.route, self._default))
                ping = await self._store.escalated(
                    one.group.id, one.step, roles=whom.roles, people=whom.people, at=now, detail=whom.detail
                )
                if ping is not None:
                    _log.info("nobody took the alerts of group %s: step %s called", one.group.id, one.step)
        for group in await self._store.due_reminders(now):
            await self._store.reminded(group.id, now, people=(group.acked_by,))

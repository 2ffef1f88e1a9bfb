"""Calls the next ones when nobody takes an alert, and brings to mind what was taken and goes on.

What is due is decided from rows, and each step is written down in the transaction that calls, so that a crash neither
repeats one nor leaves one out.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass

from bot.alert_settings import EscalationStep
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


def called(step: EscalationStep, turn: Turn | None, *, fallback: tuple[str, ...]) -> Called:
    """Whom that step means now. While nobody is on call, the roles of `fallback` are called: a step is never silent."""
    if step.role is not None:
        return Called(roles=(step.role,))
    if step.person is not None:
        return Called(people=(step.person,))
    if turn is not None:
        return Called(people=(turn.person,), detail="on call")
    return Called(roles=fallback, detail="nobody is on call")


class Escalation:
    """Looks at the rows at every tick. `people` are those who can be called: the configuration's.

    An override may name somebody who has left since; then nobody is on call.
    """

    def __init__(self, *, store: AlertStore, people: Collection[str], now: Now = utc_now) -> None:
        self._store = store
        self._people = frozenset(people)
        self._now = now

    async def look(self) -> None:
        """Take the steps that are due, and remind of what was taken long ago."""
        now = self._now()
        if due := await self._store.due_escalations(now):
            turn = await self._store.on_call(now)
            turn = turn if turn is not None and turn.person in self._people else None
            for one in due:
                whom = called(one.wanted, turn, fallback=one.fallback)
                ping = await self._store.escalated(
                    one.group.id, one.step, roles=whom.roles, people=whom.people, at=now, detail=whom.detail
                )
                if ping is not None:
                    _log.info("nobody took the alerts of group %s: step %s called", one.group.id, one.step)
        for group in await self._store.due_reminders(now):
            await self._store.reminded(group.id, now, people=(group.acked_by,))

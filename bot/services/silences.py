"""Silences: made, extended and ended in Alertmanager for a person, kept as rows, and kept up until an alert has ended.

Alertmanager is where a silence holds; our row says who wanted it and what for. Nothing is called silenced before
Alertmanager has said so: a lost answer is looked for by the mark in the comment, and never sent a second time.
"""

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from bot.alert_settings import AlertSettings
from bot.alerts.episodes import whole_second
from bot.alerts.model import Matcher, Silence, SilenceKind
from bot.alerts.routes import fits, only
from bot.alerts.store import AlertStore
from bot.clients import alertmanager_types as wire
from bot.clients.alertmanager import AlertmanagerClient
from bot.errors import QuarterdeckError, Refused, Unavailable, Unknown
from bot.ops.model import Json
from bot.ops.record import Now, utc_now
from bot.ops.rules import trace
from bot.policy import ANYBODY, Action, Actor, Decision, PolicyRow, authorise
from bot.services.silencing import LOOK_PAUSE_S, NOT_SILENCED, Silencing, answered, at_time

KEPT_FOR = timedelta(minutes=10)
"""So long a silence “until resolved” holds without us: if this bot dies, it ends by itself."""
KEPT_BEFORE = timedelta(minutes=6)
"""When so little is left of it, it is extended; half of it may be missed, and nothing is lost."""
UNSEEN_FOR = timedelta(seconds=60)
"""A silence so young is not ended for want of alerts: ours may not have come in yet."""
COMMENT_MAX = 300
BY_ITSELF = "bot"
"""The actor of what nobody pressed."""
REFUSED = "door.refused"

Told = tuple[str, str, str, Json]
"""An event for the record: name, actor, text, data."""

_log = logging.getLogger(__name__)


class Recorder(Protocol):
    """Where refusals are written down: the engine, as for every other door."""

    async def record(self, name: str, actor: str, text: str, data: Json | None = None) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A silence as somebody asks for it. Without `ends_at` it lasts until what it silences has resolved."""

    matchers: tuple[Matcher, ...]
    ends_at: datetime | None
    starts_at: datetime | None = None
    comment: str = ""
    kind: SilenceKind = SilenceKind.SILENCE
    group_id: int | None = None


@dataclass(frozen=True, slots=True)
class Hits:
    """What matchers meet among what fires now: which alerts, by name, the most first, and where they belong."""

    total: int
    names: tuple[tuple[str, int], ...]
    environments: tuple[str, ...]
    silenced: int
    fingerprints: frozenset[str] = frozenset()


class SilenceService:
    """The silences of one cluster. `rows` is the policy in force; without an `alertmanager` nothing can be silenced."""

    def __init__(
        self, *, store: AlertStore, alertmanager: AlertmanagerClient | None, rows: Sequence[PolicyRow],
        settings: AlertSettings, recorder: Recorder, now: Now = utc_now, look_pause_s: float = LOOK_PAUSE_S,
    ) -> None:  # fmt: skip
        self._store = store
        self._recorder = recorder
        self._there = Silencing(alertmanager, look_pause_s=look_pause_s)
        self._rows = tuple(rows)
        self._labels = settings.labels
        self._keep_every = timedelta(seconds=settings.reconcile_s)
        self._now = now
        self._kept_at: datetime | None = None
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, told: Callable[[], None]) -> None:
        """Have `told` called whenever a silence was made, changed or ended here."""
        self._listeners.append(told)

    # ---- looking ---------------------------------------------------------------------------------------------

    def environment_of(self, matchers: Iterable[Matcher]) -> str:
        """The one environment that the matchers stay within; `*` where they may reach any."""
        return only(matchers, self._labels.environment) or ANYBODY

    def decision(self, matchers: Iterable[Matcher], actor: Actor) -> Decision:
        """Whether the actor may silence what these matchers meet."""
        return authorise(self._rows, actor, Action.SILENCE_WRITE, self.environment_of(matchers))

    async def count(self, matchers: Sequence[Matcher]) -> Hits:
        """What a silence with these matchers would meet now.

        Raises:
            Refused: Alertmanager cannot read the matchers, or another one tells of what they meet.
            Unavailable: no Alertmanager answers, so nothing can be silenced either, and the words say so.
        """
        await self._refuse_elsewhere(matchers)
        found = await answered(NOT_SILENCED, self._there.client.alerts(matchers))
        names = Counter(alert.labels.get("alertname", "") for alert in found)
        places = {alert.labels.get(self._labels.environment, "") for alert in found}
        silenced = sum(1 for alert in found if alert.silenced_by)
        met = frozenset(alert.fingerprint for alert in found)
        return Hits(len(found), tuple(names.most_common()), tuple(sorted(places)), silenced, met)

    async def listed(self) -> tuple[Silence, ...]:
        """Those that hold or will, whoever made them, as last seen; the next to end first."""
        return tuple(sorted(await self._store.open_silences(), key=lambda silence: silence.ends_at))

    # ---- acting ----------------------------------------------------------------------------------------------

    async def create(self, wanted: Wanted, actor: Actor, *, called: str = "") -> Silence:
        """Silence, and write down who wanted it. `called` is the actor's name in Discord.

        Raises:
            Refused: the policy, the times, alerts of which another Alertmanager tells, or Alertmanager's own
                objection; nothing is silenced.
            Unavailable: NOT silenced, in these words. Unknown: it cannot be told, and must not be relied on.
        """
        await self._authorised(wanted.matchers, actor)
        now = self._now()
        ends_at = now + KEPT_FOR if wanted.ends_at is None else wanted.ends_at
        kind = SilenceKind.UNTIL_RESOLVED if wanted.ends_at is None else wanted.kind
        self._refuse_senseless(wanted, ends_at)
        await self._refuse_elsewhere(wanted.matchers, wanted.group_id)
        if kind is SilenceKind.UNTIL_RESOLVED:
            await self._refuse_waiting_for_nothing(wanted.matchers)
        comment = _comment(wanted.comment or _stock_comment(kind), actor, called)
        wish = wire.SilenceWish(wanted.matchers, wanted.starts_at or now, ends_at, actor.name, comment)
        am_id = await self._there.make(wish)
        silence = Silence(
            am_id=am_id, person=actor.name, kind=kind, matchers=wanted.matchers, starts_at=wish.starts_at,
            ends_at=ends_at, comment=wanted.comment[:COMMENT_MAX], group_id=wanted.group_id,
        )  # fmt: skip
        maintained = kind is SilenceKind.MAINTENANCE
        name = "maintenance.started" if maintained else "silence.created"
        await self._noted(silence, self._note(name, actor.name, silence, _created(silence)))
        return silence

    async def extend(self, am_id: str, ends_at: datetime, actor: Actor) -> Silence:
        """Let the silence end at that moment, later or sooner than it would; one “until resolved” then ends by time.

        Raises:
            Refused: there is none of that id that still holds, or the policy says no.
            Unavailable, Unknown: as for `create`; the silence ends as it was.
        """
        live = await self._there.living(am_id)
        matchers = live.matchers
        await self._authorised(matchers, actor)
        if ends_at <= self._now():
            raise Refused("That moment has passed.", hint="To end the silence now, use “expire”.")
        row = await self._row(live)
        kind = SilenceKind.SILENCE if row.kind is SilenceKind.UNTIL_RESOLVED else row.kind
        changed = await self._there.prolong(live, ends_at)
        silence = replace(row, am_id=changed, kind=kind, ends_at=ends_at)
        text = f"{_what(silence)}: now until {at_time(ends_at)}, was until {at_time(live.ends_at)}"
        await self._noted(silence, self._note("silence.extended", actor.name, silence, text), instead_of=am_id)
        return silence

    async def expire(self, am_id: str, actor: Actor) -> Silence:
        """End the silence now.

        Raises:
            Refused: there is none of that id that still holds, or the policy says no.
            Unavailable, Unknown: it may go on.
        """
        live = await self._there.living(am_id)
        await self._authorised(live.matchers, actor)
        row = await self._row(live)
        await self._there.end(am_id)
        silence = replace(row, ended_at=self._now())
        name = "maintenance.ended" if row.kind is SilenceKind.MAINTENANCE else "silence.expired"
        text = f"{_what(silence)}: ended, was until {at_time(live.ends_at)}"
        await self._noted(silence, self._note(name, actor.name, silence, text))
        return silence

    # ---- keeping ---------------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Extend each silence “until resolved” while what it silences fires, and end it when that is over.

        Called often; looks every `reconcile_s`. What cannot be done is done at the next look: without us such a silence
        ends by itself.
        """
        now = self._now()
        if not self._there.possible or (self._kept_at is not None and now - self._kept_at < self._keep_every):
            return
        self._kept_at = now
        kept = [one for one in await self._store.open_silences() if one.kind is SilenceKind.UNTIL_RESOLVED]
        if not kept:
            return
        firing = await self._store.firing_episodes()
        held = {am_id for episode in firing for am_id in episode.silenced_by}
        for silence in kept:
            try:
                # Alertmanager matches, by its own regular expressions; one that has just started knows nothing yet,
                # and then our rows still do.
                needed = silence.am_id in held or bool(await self._there.client.alerts(silence.matchers))
                await self._kept(silence, needed=needed, now=now)
            except QuarterdeckError as error:
                _log.warning("the silence %s could not be kept up: %s", silence.am_id, error)

    async def _kept(self, silence: Silence, *, needed: bool, now: datetime) -> None:
        if needed and silence.ends_at - now < KEPT_BEFORE:
            live = await self._there.living(silence.am_id)
            changed = await self._there.prolong(live, now + KEPT_FOR)
            await self._noted(replace(silence, am_id=changed, ends_at=now + KEPT_FOR), None, instead_of=silence.am_id)
        elif not needed and now - silence.starts_at > UNSEEN_FOR:
            await self._there.end(silence.am_id)
            ended = replace(silence, ended_at=now)
            text = f"{_what(silence)}: ended, what it silenced has resolved"
            await self._noted(ended, self._note("silence.expired", BY_ITSELF, ended, text))

    # ---- rows ------------------------------------------------------------------------------------------------

    async def _row(self, live: wire.LiveSilence) -> Silence:
        """Our row of it; of one that was made elsewhere, what Alertmanager tells."""
        for row in await self._store.open_silences():
            if row.am_id == live.id:
                return row
        return Silence(
            am_id=live.id, person=live.created_by, kind=SilenceKind.FOREIGN, matchers=live.matchers,
            starts_at=live.starts_at, ends_at=live.ends_at, comment=live.comment,
        )  # fmt: skip

    async def _noted(self, silence: Silence, event: Told | None, *, instead_of: str = "") -> None:
        try:
            await self._store.noted(silence, event=event)
            if instead_of and instead_of != silence.am_id:
                await self._store.ended(instead_of, self._now())
        except Unavailable as error:
            sentence = f"Alertmanager did it, and it could not be written down here: {error}"
            raise Unknown(error.service, sentence) from error
        for told in self._listeners:
            told()

    async def _authorised(self, matchers: Sequence[Matcher], actor: Actor) -> None:
        decision = self.decision(matchers, actor)
        if decision.allowed:
            return
        refusal = Refused(decision.reason, hint=decision.hint, rule=decision.rule)
        data = {"rule": refusal.rule, "environment": self.environment_of(matchers), **trace(actor)}
        await self._recorder.record(REFUSED, actor.name, str(refusal), data)
        raise refusal

    async def _refuse_waiting_for_nothing(self, matchers: Sequence[Matcher]) -> None:
        if (await self.count(matchers)).total == 0:
            sentence = "Nothing that these matchers meet fires now, so there is nothing whose end to wait for."
            raise Refused(sentence, hint="Choose a length instead.")

    async def _refuse_elsewhere(self, matchers: Sequence[Matcher], group_id: int | None = None) -> None:
        """A silence holds only where it is made: the asked cluster's would not quieten what another one tells of."""
        told = [
            one
            for one in await self._store.told_elsewhere(group_id)
            if one.group_id == group_id or fits(one.labels, matchers)
        ]
        if not told:
            return
        there = next((one for one in told if one.certain), None)
        if there is None:  # nobody has looked yet
            held = await answered(NOT_SILENCED, self._there.client.alerts())
            begun = {(alert.fingerprint, whole_second(alert.starts_at)) for alert in held}
            there = next((one for one in told if (one.fingerprint, one.starts_at) not in begun), None)
        if there is None:
            return
        raise Refused(
            f"NOT silenced: another Alertmanager tells of what this meets ({there.teller}), and this bot can silence"
            " only in the one that it asks.",
            hint="Silence it in that Alertmanager itself; or name labels that meet none of its alerts.",
            rule="elsewhere",
        )

    def _refuse_senseless(self, wanted: Wanted, ends_at: datetime) -> None:
        if not wanted.matchers:
            raise Refused("A silence without matchers would silence everything.", hint="Name at least one label.")
        if ends_at <= max(self._now(), wanted.starts_at or ends_at - timedelta(seconds=1)):
            raise Refused("A silence must end after it begins, and after now.", hint="Give a length such as 2h.")

    def _note(self, name: str, actor: str, silence: Silence, text: str) -> Told:
        return (
            name, actor, text,
            {
                "environment": only(silence.matchers, self._labels.environment),
                "service": only(silence.matchers, self._labels.service),
                "silence_id": silence.am_id,
                "matchers": [str(matcher) for matcher in silence.matchers],
                "ends_at": silence.ends_at.isoformat(),
            },
        )  # fmt: skip


def _comment(text: str, actor: Actor, called: str) -> str:
    """What stands in Alertmanager: whose words, by which way, and a mark by which the silence is found again."""
    person = f"{actor.name}, {called} in Discord" if called else actor.name
    return f"{text[:COMMENT_MAX]} [{person}, by Quarterdeck, {secrets.token_hex(4)}]"


def _stock_comment(kind: SilenceKind) -> str:
    return {SilenceKind.UNTIL_RESOLVED: "until resolved", SilenceKind.MAINTENANCE: "maintenance"}.get(kind, "silenced")


def _created(silence: Silence) -> str:
    until = "until resolved" if silence.kind is SilenceKind.UNTIL_RESOLVED else f"until {at_time(silence.ends_at)}"
    note = f": {silence.comment}" if silence.comment else ""
    return f"{_what(silence)}, {until}{note}"


def _what(silence: Silence) -> str:
    return "{" + ", ".join(map(str, silence.matchers)) + "}"

"""What a card's key stands for, as a message: an operation's card, the pings beside it, lines of the audit channel.

Always drawn from the newest rows. Sending, finding again and trying again are the board's business.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import select

from bot.db.tables import events
from bot.errors import Refused
from bot.logs import Redactor
from bot.ops.engine import Engine
from bot.ops.model import FINAL, NOT_CONFIRMED, OPEN, Event, Operation, Status
from bot.ops.rows import event_of
from bot.people import People
from bot.policy import Action, row_of
from bot.services.handover import Handover
from bot.services.outside import Outside
from bot.settings import Settings
from bot.ui.alert_renderings import AlertRenderings
from bot.ui.board_store import BoardStore, CardRow, Mint, utc_now
from bot.ui.bulletins import Tallies, announcement_marker, announcement_text, tally_marker, tally_text
from bot.ui.card import (
    CardSight,
    Press,
    card,
    drawn_as,
    fingerprint,
    headline,
    marked,
    offers,
    outcome_line,
    redacted,
)
from bot.ui.handover_card import handover_rendering
from bot.ui.pins import LEAST_PAUSE, Pinned
from bot.ui.rendering import Rendering, only, with_pings
from bot.ui.standings import concerning
from bot.ui.text import CONTENT_LIMIT, cut, escape, marked_text, moment, stamp

LONG_RUN = timedelta(minutes=2)
"""Success is pinged only when the requester has probably looked away."""
PINGED_OUTCOMES = frozenset({Status.FAILED, Status.DENIED, Status.EXPIRED, Status.INTERRUPTED})
AUDITED = (
    "operation.requested", "operation.approved", "operation.denied", "operation.expired", "operation.cancelled",
    "operation.stale", "operation.succeeded", "operation.failed", "operation.interrupted",
    "vote.approve", "vote.deny", "vote.refused", "request.refused", "cancel.requested", "cancel.refused",
    "close.refused", "resume.refused", "door.refused", "vote.withdrawn", "withdraw.refused", "locks.taken_over",
    "locks.given_back", NOT_CONFIRMED, "roles.confirmed",
    "config.loaded", "config.reloaded", "config.refused", "state.restored",
    "alert.acked", "alert.unacked", "silence.created", "silence.extended", "silence.expired",
    "maintenance.started", "maintenance.extended", "maintenance.ended", "oncall.overridden", "handover.taken",
    "hand.change", "alert.second_road",
)  # fmt: skip
"""The events that the audit channel shows: decisions and outcomes, not progress."""
ACTIONS: Mapping[str, Action] = {"deploy": Action.DEPLOY, "rollback": Action.ROLLBACK}


class Renderings:
    """Draws every kind of card."""

    def __init__(
        self, *, settings: Settings, engine: Engine, store: BoardStore, people: People, redactor: Redactor,
        outside: Outside | None = None, pinned: Mapping[str, Pinned] | None = None, tallies: Tallies | None = None,
        alerts: AlertRenderings | None = None, handover: Handover | None = None,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._engine = engine
        self._store = store
        self._people = people
        self._redactor = redactor
        self._outside = outside or Outside()
        self._pinned = pinned or {}
        self._tallies = tallies
        self._alerts = alerts
        self._handover = handover

    async def of(self, row: CardRow) -> Rendering | None:
        """The message for that card, free of secrets; None: there is nothing to show, now or ever."""
        rendering = await self._drawn(row)
        if rendering is None:
            return None
        clean, mark = self._redactor.clean, self._settings.mark
        if rendering.sheet is not None:
            marked(redacted(rendering.sheet, clean), mark)
        return replace(rendering, content=cut(marked_text(clean(rendering.content), mark), CONTENT_LIMIT))

    async def open_cards(self) -> list[str]:
        """The keys of the cards of operations that are not over."""
        return [operation.card_key for operation in await self._engine.operations(statuses=tuple(OPEN), limit=100)]

    async def _drawn(self, row: CardRow) -> Rendering | None:
        try:
            match row.topic:
                case "operation":
                    return await self._operation(row)
                case "outcome":
                    return await self._outcome(row)
                case "reminder":
                    return await self._reminder(row)
                case "audit":
                    return await self._audit(row)
                case "announcement":
                    facts = row.state["facts"]
                    text = cut(announcement_text(facts), CONTENT_LIMIT)
                    return Rendering(
                        marker=announcement_marker(facts), content=text, state=dict(row.state),
                        born_at=moment(facts.get("at")),
                    )  # fmt: skip
                case "alert" | "pack" | "alertping" if self._alerts is not None:
                    return await self._alerts.of(row)
                case "handover" if self._handover is not None:
                    return await handover_rendering(
                        row, handover=self._handover, store=self._store, people=self._people,
                        guild_id=self._settings.discord.guild_id,
                    )  # fmt: skip
                case "tally" if self._tallies is not None:
                    return await self._tally(row, self._tallies)
                case "pinned" if (board := self._pinned.get(row.key)) is not None:
                    text = await board.text()
                    return Rendering(
                        marker=board.marker, content=text, lasting=True, pinned=True, pause=LEAST_PAUSE,
                        state={**row.state, "fingerprint": text},
                    )  # fmt: skip
        except Refused:  # no such operation: a backup was restored, or a row was taken away
            return None
        return None

    async def _operation(self, row: CardRow) -> Rendering:
        operation = await self._engine.operation(row.subject_id)
        face = drawn_as(operation)
        generation = int(row.state.get("generation", 0)) + (row.state.get("face", face) != face)
        guild_id = self._settings.discord.guild_id
        mint = Mint(row.key, generation, operation.id, operation.digest, guild_id, row.channel_id)
        handles = await self._store.mint(mint, offers(operation), utc_now(), message_id=row.message_id)
        sheet = card(
            CardSight(
                operation=operation,
                votes=await self._engine.votes(operation.id),
                handles={Press(action): handle for action, handle in handles.items()},
                link_hosts=self._settings.link_hosts,
                self_approval=self._self_approval(operation),
                withdrawn=await self._withdrawn(operation),
                outside=concerning(operation, self._outside.down()),
            )
        )
        first = operation.status is Status.PENDING and not row.state.get("pinged")
        pinged = self._people.role_ids(operation.approver_roles) if first else []
        return Rendering(
            marker=re.compile(rf"^\W*{operation.kind.upper()} [^\n]*#{operation.id}\b"),
            content=with_pings(headline(operation), [f"<@&{role}>" for role in pinged]),
            sheet=sheet,
            pings=only(roles=pinged),
            state={**row.state, "generation": generation, "face": face, "fingerprint": fingerprint(sheet)},
            beside=self._beside(operation),
            born_at=operation.created_at,
        )

    async def _withdrawn(self, operation: Operation) -> tuple[str, ...]:
        """Who has taken the own approval back while it waits, and has not given it again."""
        if operation.status is not Status.PENDING:
            return ()
        took_back = [event.actor for event in await self._engine.events(operation.id) if event.name == "vote.withdrawn"]
        voted = {vote.person for vote in await self._engine.votes(operation.id)}
        return tuple(dict.fromkeys(person for person in took_back if person not in voted))

    def _self_approval(self, operation: Operation) -> bool:
        action = ACTIONS.get(operation.kind)
        row = row_of(self._settings.policy_rows, action, operation.environment) if action else None
        return row is not None and row.self_approval

    def _beside(self, operation: Operation) -> tuple[str, ...]:
        """The pings that this state of the operation asks for."""
        if operation.status is Status.PENDING and operation.reminded_at is not None:
            return (f"reminder:{operation.id}",)
        if operation.status in PINGED_OUTCOMES:
            return (f"outcome:{operation.id}",)
        if operation.status is Status.SUCCEEDED and operation.started_at and operation.ended_at:
            asked_for = operation.ended_at - (operation.approved_at or operation.started_at)
            return (f"outcome:{operation.id}",) if asked_for > LONG_RUN else ()
        return ()

    async def _outcome(self, row: CardRow) -> Rendering | None:
        operation = await self._engine.operation(row.subject_id)
        account = self._people.discord_id(operation.requester)
        if account is None or operation.status not in FINAL | {Status.INTERRUPTED}:
            return None
        return Rendering(
            marker=re.compile(rf"^<@{account}> #{operation.id}\b"),
            content=cut(f"<@{account}> {outcome_line(operation)}", CONTENT_LIMIT),
            pings=only(users=[account]),
            reply_to=await self._card_of(operation),
        )

    async def _reminder(self, row: CardRow) -> Rendering | None:
        operation = await self._engine.operation(row.subject_id)
        roles = self._people.role_ids(operation.approver_roles)
        if operation.status is not Status.PENDING or not operation.expires_at or not roles:
            return None
        text = f"{operation.short_id} still waits for approval, and ends {stamp(operation.expires_at)}"
        return Rendering(
            marker=re.compile(rf"^#{operation.id} still waits"),
            content=with_pings(text, [f"<@&{role}>" for role in roles]),
            pings=only(roles=roles),
            reply_to=await self._card_of(operation),
        )

    async def _card_of(self, operation: Operation) -> int | None:
        found = await self._store.get(operation.card_key)
        return found.message_id if found else None

    async def _audit(self, row: CardRow) -> Rendering | None:
        wanted = list(row.state.get("events", ()))
        statement = select(events).where(events.c.id.in_(wanted)).order_by(events.c.id)
        found = await self._store.read(lambda db: [event_of(line) for line in db.execute(statement).mappings()])
        if not found:
            return None
        if self._tallies is not None:
            await self._tallies.told(found)
        return Rendering(
            marker=re.compile(rf"^`{found[0].id}` "), content=cut(_audit_text(found), CONTENT_LIMIT), once=True
        )

    async def _tally(self, row: CardRow, tallies: Tallies) -> Rendering | None:
        event = await tallies.event(row.subject_id)
        if event is None:
            return None
        text = cut(tally_text(event), CONTENT_LIMIT)
        state = {**row.state, "told": event.count, "fingerprint": text}
        return Rendering(marker=tally_marker(event.id), content=text, lasting=True, state=state)


def _audit_text(found: Sequence[Event]) -> str:
    return "\n".join(audit_line(event) for event in found)


def audit_line(event: Event) -> str:
    """One event in one line: its number, when, on what, who, what."""
    about = f" #{event.operation_id}" if event.operation_id is not None else ""
    times = f" ({event.count} times)" if event.count > 1 else ""
    actor = "" if event.text.startswith(event.actor) else f"{escape(event.actor, 40)}: "
    said = f"{actor}{escape(event.text, 220)}{times}"
    return f"`{event.id}` {stamp(event.at, 'T')}{about} · {event.name} · {said}"

"""The pinned board of a channel of alerts: what fires there and who has it, at a glance, with ways to the cards.

It pings nobody and decides nothing. Its time is a Discord timestamp, as on the board of the ops channel.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Protocol

from bot.alerts.model import AlertGroup
from bot.alerts.reading import GroupFilter
from bot.alerts.rota import Turn
from bot.services.outside import ALERTMANAGER, PROMETHEUS, Outside
from bot.ui.alert_lines import name_of, short_id
from bot.ui.board_store import CardRow
from bot.ui.pinned import on_call_line
from bot.ui.pins import foot
from bot.ui.standings import down_line, foot_line
from bot.ui.text import CONTENT_LIMIT, counted, escape, fitted, message_url, stamp

MARKER = re.compile(r"^\*\*On watch\*\* ")
GROUPS_READ = 200
LINKED = 12
"""Groups whose line leads to its card: no more lines than that fit with an address in each."""
BEATS_SHOWN = 4
ASKED = (ALERTMANAGER, PROMETHEUS)
WAITING, TAKEN, OTHERS, SILENCED = "waiting for somebody", "taken", "to know of", "silenced"
THEN = "Ask Alertmanager itself what fires."


class Alerts(Protocol):
    """What is known of alerts, and who is on call."""

    async def groups(self, wanted: GroupFilter) -> Sequence[AlertGroup]: ...
    async def heartbeats(self) -> Mapping[str, datetime]: ...
    async def on_call(self) -> Turn | None: ...


class Cards(Protocol):
    """Where the cards of the groups stand."""

    async def get(self, key: str) -> CardRow | None: ...


class PinnedAlerts:
    """Writes the message for one channel. `heartbeats` are the names by which the configured ones are kept."""

    marker = MARKER

    def __init__(
        self, channel_id: int, *, alerts: Alerts, cards: Cards, outside: Outside, guild_id: int,
        heartbeats: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self._channel_id = channel_id
        self._heartbeats = heartbeats
        self._alerts = alerts
        self._cards = cards
        self._outside = outside
        self._guild_id = guild_id

    async def text(self) -> str:
        """The whole message, as of now."""
        as_of = datetime.now(UTC)
        groups = await self._alerts.groups(GroupFilter(channel_id=self._channel_id, limit=GROUPS_READ))
        turn = await self._alerts.on_call()
        sections = _sections(groups)
        head = [f"**On watch** {_summary(groups, waiting=len(sections[WAITING]))}", *_doubt(groups)]
        tail = [*([on_call_line(turn)] if turn else []), *await self._tail(), foot(as_of, THEN)]
        room = CONTENT_LIMIT - sum(len(line) + 1 for line in (*head, *tail)) - 40
        addresses = await self._addresses(group for members in sections.values() for group in members)
        lines = fitted(_lines(sections, addresses), room, more="and {} more lines: /alerts list")
        return "\n".join(line for line in (*head, lines, *tail) if line)

    async def _addresses(self, groups: Iterable[AlertGroup]) -> dict[int, str]:
        """Where the first of the groups are shown, alone or in a pack."""
        found: dict[int, str] = {}
        for group in islice(groups, LINKED):
            row = await self._cards.get(group.card_key)
            if row is not None and row.message_id is not None:
                found[group.id] = message_url(self._guild_id, row.channel_id, row.message_id)
        return found

    async def _tail(self) -> list[str]:
        standings = [standing for standing in self._outside.standings() if standing.part in ASKED]
        heard = _heard(self._heartbeats, await self._alerts.heartbeats())
        small = " · ".join([*([foot_line(standings).removeprefix("-# ")] if standings else []), *heard])
        return [*(down_line(standing) for standing in standings if standing.down), *([f"-# {small}"] if small else [])]


def _heard(wanted: Sequence[str], beats: Mapping[str, datetime]) -> list[str]:
    """When each configured heartbeat was last heard of."""
    shown = [(escape(name, 40), beats.get(name)) for name in wanted[:BEATS_SHOWN]]
    rest = len(wanted) - len(shown)
    said = [f"{name} heard {stamp(at)}" if at is not None else f"{name} *not heard yet*" for name, at in shown]
    return [*said, *([f"and {counted(rest, 'more heartbeat')}"] if rest else [])]


def _summary(groups: Sequence[AlertGroup], *, waiting: int) -> str:
    if not groups:
        return "· nothing fires here"
    many = f"{GROUPS_READ} groups or more" if len(groups) >= GROUPS_READ else counted(len(groups), "group")
    return f"· {many}, {waiting or 'none'} waiting for somebody"


def _doubt(groups: Iterable[AlertGroup]) -> Iterator[str]:
    since = [group.unconfirmed_since for group in groups if group.unconfirmed_since is not None and not group.own]
    if since:
        yield f"! *unconfirmed* since {stamp(min(since))}: Alertmanager cannot be asked"


def _sections(groups: Sequence[AlertGroup]) -> dict[str, list[AlertGroup]]:
    """What waits for somebody, what somebody has, the rest, and what is silenced; the worst first in each."""
    found: dict[str, list[AlertGroup]] = {WAITING: [], TAKEN: [], OTHERS: [], SILENCED: []}
    for group in groups:
        section = SILENCED if group.silenced else WAITING if group.waits else TAKEN if group.acked_by else OTHERS
        found[section].append(group)
    return found


def _lines(sections: Mapping[str, Sequence[AlertGroup]], addresses: Mapping[int, str]) -> Iterator[str]:
    for heading, members in sections.items():
        if members:
            yield f"**{heading}**"
            yield from (_line(group, addresses.get(group.id, "")) for group in members)


def _line(group: AlertGroup, address: str) -> str:
    """How bad, which, how many, since when, who has it."""
    name = f"[{short_id(group.id)}]({address})" if address else short_id(group.id)
    many = f"{group.firing} of {group.members}" if group.members > 1 else ""
    held = f"{escape(group.acked_by, 24)} {'had' if group.waits else 'has'} it" if group.acked_by else ""
    ends = [silence.ends_at for silence in group.silences] if group.silenced else []
    until = f"until {stamp(max(ends))}" if ends else ""
    flapping = f"flapping {group.flaps}x" if group.flapping else ""
    parts = (
        f"{name} {escape(group.severity or 'alert', 20)} {name_of(group, 60)}", many, stamp(group.fired_at), held,
        until, flapping,
    )  # fmt: skip
    return " · ".join(part for part in parts if part)

"""What the cards of alerts stand for as messages: a group's card, the pings beside it, and the packs of a storm.

Always drawn from the newest rows. A group's first post pings by its plain line; edits never do.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from bot.alerts.model import AlertGroup, Ping, Reason, Silence, SilenceKind
from bot.people import People
from bot.policy import EVERYWHERE
from bot.services.changes import Change, Changes
from bot.settings import Settings
from bot.ui.alert_card import (
    OPEN,
    PACK_ROOM,
    PackSight,
    alert_card,
    drawn_as,
    offers,
    pack_card,
    pack_line,
    pack_marker_text,
    packed_size,
)
from bot.ui.alert_lines import (
    LOOKED_BACK,
    GroupSight,
    fitted_names,
    headline,
    marker,
    name_of,
    short_id,
    title_of,
    word_of,
)
from bot.ui.alert_pictures import AlertPictures, Draw
from bot.ui.board_store import BoardStore, CardRow, Mint
from bot.ui.card import fingerprint
from bot.ui.packing import MEMBER, Packs, beside, members, opened_at, to_ping
from bot.ui.rendering import Rendering, only, with_pings
from bot.ui.storms import Fit
from bot.ui.text import CONTENT_LIMIT, escape, message_url, stamp

LINE_ROOM = CONTENT_LIMIT - 200
"""Of a pack's plain line: the mentions and a mark come behind it."""
CALLS_TOGETHER = 40
LOADED = 500
"""Alerts of a group that are read for its card, those that fire first: more names do not fit, and all are counted."""


class Alerts(Protocol):
    """The rows of alerts, as far as cards show them."""

    async def group(self, group_id: int, *, most: int = 0) -> AlertGroup | None: ...
    async def groups_by_id(
        self, ids: Iterable[int], *, episodes: bool = True, most: int = 0
    ) -> Mapping[int, AlertGroup]: ...
    async def ping(self, ping_id: int) -> Ping | None: ...


class AlertRenderings:
    """Draws the topics `alert`, `alertping` and `pack`."""

    def __init__(
        self, *, alerts: Alerts, store: BoardStore, packs: Packs, settings: Settings, people: People,
        changes: Changes | None = None, draw: Draw | None = None, now: Callable[[], datetime] | None = None,
    ) -> None:  # fmt: skip
        self._alerts = alerts
        self._store = store
        self._packs = packs
        self._settings = settings
        self._people = people
        self._changes = changes
        self._now = now or (lambda: datetime.now(UTC))
        self._pictures = AlertPictures(draw, self._stirred, now=self._now) if draw is not None else None

    async def close(self) -> None:
        """Draw no more pictures."""
        if self._pictures is not None:
            await self._pictures.close()

    async def of(self, row: CardRow) -> Rendering | None:
        """The message for that card; None: there is nothing to show."""
        match row.topic:
            case "pack":
                return await self._pack(row)
            case "alertping":
                return await self._call(row)
            case _:
                return await self._group(row)

    # ---- what storms ask for -----------------------------------------------------------------------------------

    async def fit(self, rows: Sequence[CardRow], *, beside: Collection[int] = ()) -> Fit:
        """How many of the groups one message holds without cutting anything, and whom each of them pings.

        The first one always counts, unless others (`beside`) stand in the message already.
        """
        groups = await self._alerts.groups_by_id([*(row.subject_id for row in rows), *beside], most=LOADED)
        used, many = sum(packed_size(groups[number]) for number in beside if number in groups), 0
        roles: dict[str, tuple[str, ...]] = {}
        for row in rows:
            group = groups.get(row.subject_id)
            used += packed_size(group) if group is not None else 0
            if (many or beside) and used > PACK_ROOM:
                break
            many += 1
            ping = _due(group) if group is not None else None
            roles[row.key] = ping.roles if ping is not None else ()
        return Fit(many, roles)

    async def firing(self, ids: Collection[int]) -> set[int]:
        """Those of the groups that still fire."""
        groups = await self._alerts.groups_by_id(ids, episodes=False)
        return {number for number, group in groups.items() if group.firing}

    # ---- a group's card ----------------------------------------------------------------------------------------

    async def sight(self, group: AlertGroup) -> GroupSight:
        """All that is said of a group, from the rows."""
        alerts = self._settings.alerts
        within = timedelta(seconds=alerts.flapping.within_s) if alerts is not None else timedelta(minutes=30)
        return GroupSight(
            group=group,
            silences={one.am_id: one for one in group.silences},
            changes=await self._changes_before(group),
            flapping_within=within,
        )

    async def _changes_before(self, group: AlertGroup) -> Sequence[Change] | None:
        if self._changes is None or group.own:
            return None
        since = group.fired_at - LOOKED_BACK
        return await self._changes.of(group.environment, group.service, since, group.fired_at, sight=EVERYWHERE)

    async def _group(self, row: CardRow) -> Rendering | None:
        group = await self._alerts.group(row.subject_id, most=LOADED)
        if group is None:
            return None
        sight = await self.sight(group)
        undo = undoable(sight.changes)
        offered = offers(group, undo=undo, ours=bool(ours(sight)), graph=self._pictures is not None)
        face = drawn_as(group, offered)
        generation = int(row.state.get("generation", 0)) + (row.state.get("face", face) != face)
        mint = Mint(row.key, generation, None, "", self._settings.discord.guild_id, row.channel_id)
        handles = await self._store.mint(mint, offered.every, self._now(), message_id=row.message_id)
        shown, picture, remark = self._picture(row, group)
        sheet = alert_card(
            sight, offered, handles, link_hosts=self._settings.link_hosts, undo=undo, picture=shown, remark=remark
        )
        ping = _due(group) if not row.state.get("pinged") else None
        roles, people = self._ids(ping)
        unfolded = row.state.get("unfolded")
        state = {**row.state, "generation": generation, "face": face, "fingerprint": fingerprint(sheet)}
        state |= {"called": ping.id} if ping is not None else {}
        return Rendering(
            marker=marker(group.id),
            content=with_pings(headline(group), _mentions(roles, people)),
            sheet=sheet,
            pings=only(roles=roles, users=people),
            state=state | {"picture": shown},
            born_at=None if unfolded else group.opened_at,
            picture=picture,
            stirs=(str(unfolded),) if unfolded else (),
        )

    def _picture(self, row: CardRow, group: AlertGroup) -> tuple[str, tuple[str, bytes] | None, str]:
        """The name of the picture that the card shows, the file where it is a new one, and why there is none."""
        hanging = str(row.state.get("picture", "")) if row.message_id is not None else ""
        if self._pictures is None or not self._carries(group) or row.message_id is None:
            return hanging, None, ""
        version = f"{'on' if group.firing else 'off'}-{int((group.closed_at or group.fired_at).timestamp())}"
        name = f"{short_id(group.id).lower()}-{version}.png"
        if name == hanging:
            self._pictures.hangs(group.id, version)
            return hanging, None, ""
        found = self._pictures.look(group, version)
        if isinstance(found, bytes):
            return name, (name, found), ""
        return hanging, None, escape(found, 160) if not hanging else ""

    def _carries(self, group: AlertGroup) -> bool:
        """Whether its card carries a graph without being asked: what is critical, and no alert of the bot's own."""
        severities = self._settings.alerts.severities if self._settings.alerts is not None else ("critical",)
        return group.severity == severities[-1] and not group.own

    async def _stirred(self, key: str) -> None:
        await self._store.want_again([key])

    # ---- pings beside a card -----------------------------------------------------------------------------------

    async def _call(self, row: CardRow) -> Rendering | None:
        ping = await self._alerts.ping(row.subject_id)
        group = await self._alerts.group(ping.group_id, most=1) if ping is not None else None
        if ping is None or group is None or not _still_wanted(ping, group):
            return None
        card = await self._store.get(group.card_key)
        if ping.opening and card is not None and await self._carried(card, ping):
            return None
        roles, people = self._ids(ping)
        if not roles and not people:
            return None
        name = f"{short_id(group.id)}.{ping.id}"
        text = f"{word_of(group)} {name} {title_of(group)}: {_why(ping, group)}"
        others = await self._alike(row, ping)
        if others:
            named = [f"{short_id(other.id)} {name_of(other, 40)}" for other in others.values()]
            text = fitted_names(f"{text}\nThe same for ", named, CONTENT_LIMIT - 300, total=len(named))
        return Rendering(
            marker=re.compile(rf"^[A-Z]+ {re.escape(name)} "),
            content=with_pings(text, _mentions(roles, people)),
            pings=only(roles=roles, users=people),
            reply_to=card.message_id if card is not None else None,
            state=dict(row.state),
            born_at=ping.at,
            settles=tuple(others),
        )

    async def _carried(self, card: CardRow, ping: Ping) -> bool:
        """Whether the post of the group's card, or of the pack that it stands in, has called for this or will."""
        if card.state.get("called") == ping.id:
            return True
        pack = await self._store.get(str(card.state["pack"])) if "pack" in card.state else None
        if pack is not None:
            return not pack.state.get("pinged") and set(ping.roles) <= set(pack.state.get("roles", ()))
        return card.message_id is None and not card.state.get("pinged")

    async def _alike(self, row: CardRow, ping: Ping) -> dict[str, AlertGroup]:
        """The groups for which the same people are to be called for the same reason, by the keys of those calls.

        None once this call was tried: a message of it may stand that names others.
        """
        if row.nonce:
            return {}
        found: dict[str, AlertGroup] = {}
        for other in await self._store.unposted(f"{row.topic}:", row.channel_id, limit=CALLS_TOGETHER):
            call = await self._alerts.ping(other.subject_id) if other.key != row.key and not other.nonce else None
            if call is None or (call.reason, call.roles, call.people) != (ping.reason, ping.roles, ping.people):
                continue
            group = await self._alerts.group(call.group_id, most=1)
            if group is not None and _still_wanted(call, group):
                found[other.key] = group
        return found

    def _ids(self, ping: Ping | None) -> tuple[list[int], list[int]]:
        """The roles and accounts behind the names."""
        if ping is None:
            return [], []
        accounts = (self._people.discord_id(name) for name in dict.fromkeys(ping.people))
        return self._people.role_ids(ping.roles), [account for account in accounts if account is not None]

    # ---- packs -------------------------------------------------------------------------------------------------

    async def _pack(self, row: CardRow) -> Rendering | None:
        found = await self._alerts.groups_by_id(members(row), most=LOADED)
        groups = [found[number] for number in members(row) if number in found]
        if not groups:
            return None
        rows = await self._packs.standing(row)
        guild_id = self._settings.discord.guild_id
        cards = {
            number: message_url(guild_id, one.channel_id, one.message_id)
            for number, one in rows.items()
            if one.message_id is not None and _elsewhere(one, row)
        }
        generation = int(row.state.get("generation", 0))
        actions = [f"{OPEN}{group.id}" for group in groups if group.id not in cards]
        mint = Mint(row.key, generation, None, "", guild_id, row.channel_id)
        handles = await self._store.mint(mint, actions, self._now(), message_id=row.message_id)
        sight = PackSight(row.subject_id, groups, cards, handles)
        sheet = pack_card(sight)
        wanted = [] if row.state.get("pinged") else await self._roles(row, groups)
        told = row.state.get("told", []) if row.state.get("pinged") else wanted
        roles = self._people.role_ids(wanted)
        return Rendering(
            marker=re.compile(pack_marker_text(row.subject_id)),
            content=with_pings(pack_line(sight, LINE_ROOM), _mentions(roles, [])),
            sheet=sheet,
            pings=only(roles=roles),
            state={**row.state, "generation": generation, "fingerprint": fingerprint(sheet), "told": told},
            born_at=opened_at(row),
            holds=tuple(one.key for one in rows.values() if one.state.get("pack") == row.key),
        )

    async def _roles(self, row: CardRow, groups: Sequence[AlertGroup]) -> list[str]:
        """Whom the pack's post pings: those whom its groups still call, or the other packs', which left them to it."""
        packs = await self._packs.open()
        wanted = to_ping(row, packs)
        if not wanted:
            return []
        others = [number for one in beside(row, packs) for number in members(one)]
        left = await self._alerts.groups_by_id(others, episodes=False)
        due = filter(None, map(_due, (*groups, *left.values())))
        return sorted(wanted.intersection(role for ping in due for role in ping.roles))


def undoable(changes: Sequence[Change] | None) -> Change | None:
    """The newest of the changes before an alert that a rollback could take away."""
    return next((one for one in changes or () if one.can_be_undone and one.operation_id is not None), None)


def ours(sight: GroupSight) -> tuple[Silence, ...]:
    """The silences of its alerts that the bot made, and may end."""
    ids = dict.fromkeys(number for episode in sight.group.episodes if episode.firing for number in episode.silenced_by)
    found = (sight.silences.get(number) for number in ids)
    return tuple(one for one in found if one is not None and one.kind is not SilenceKind.FOREIGN)


def _due(group: AlertGroup) -> Ping | None:
    """The ping that its first post carries, while there is still reason for it."""
    ping = group.ping
    if ping is None or not ping.opening or ping.held_until is not None:
        return None
    return ping if group.firing and not group.silenced and group.unacked_since is not None else None


def _still_wanted(ping: Ping, group: AlertGroup) -> bool:
    """Whether somebody must still be called: not once it is over or silenced, nor for what somebody has taken since."""
    if not group.firing or group.silenced:
        return False
    if ping.reason is Reason.REMINDER:
        return group.acked_by in ping.people
    return group.waits


def _why(ping: Ping, group: AlertGroup) -> str:
    detail = escape(ping.detail, 120)
    match ping.reason:
        case Reason.FIRST | Reason.REFIRED:
            return f"fires since {stamp(group.fired_at)}"
        case Reason.SEVERITY:
            return f"has become worse{f' ({detail})' if detail else ''}"
        case Reason.JOINED:
            return f"{detail or 'more alerts'} since {escape(group.acked_by, 40) or 'somebody'} took it"
        case Reason.ESCALATION:
            since = f" since {stamp(group.unacked_since)}" if group.unacked_since else ""
            return f"nobody has taken it{since}"
        case Reason.REMINDER:
            taken = f" {stamp(group.acked_at)}" if group.acked_at else ""
            return f"{escape(group.acked_by, 40)} took it{taken}, and it still fires"


def _mentions(roles: Sequence[int], people: Sequence[int]) -> list[str]:
    return [*(f"<@&{role}>" for role in roles), *(f"<@{account}>" for account in people)]


def _elsewhere(member: CardRow, pack: CardRow) -> bool:
    """Whether it has a card of its own."""
    return member.topic == MEMBER and member.state.get("pack") != pack.key

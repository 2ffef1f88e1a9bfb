"""Asking for a silence in private: what it would meet, how long, and only then it is made. Also by a form.

What was shown is written down with the handles of the answers, so that a press makes exactly that silence, also after a
restart. Whoever asks is checked when the question is put and again when it is answered.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import discord
from discord.ui import ActionRow, Container, TextDisplay

from bot.alerts.model import AlertGroup, Matcher, Silence, SilenceKind
from bot.alerts.routes import matcher, matchers
from bot.errors import Refused
from bot.policy import Action
from bot.services.silences import Hits, Wanted
from bot.services.spans import end_of, notes_of
from bot.ui.alert_card import AlertPress, Offers, named, rows_of
from bot.ui.alert_lines import silence_line
from bot.ui.alert_pages import short_silence
from bot.ui.answers import respond, send
from bot.ui.asking import QUESTION_COLOUR, theirs
from bot.ui.board_store import Handle, Mint, utc_now
from bot.ui.card import Sheet
from bot.ui.gate import demand_here
from bot.ui.house import Alerting, actor_of, alerting_of, house_of, zone_here
from bot.ui.modals import Blank, Submission, ask_form
from bot.ui.text import counted, cut, escape, joined, quoted, stamp

LENGTHS: Mapping[AlertPress, timedelta | None] = {
    AlertPress.HOUR: timedelta(hours=1),
    AlertPress.HOURS: timedelta(hours=4),
    AlertPress.DAY: timedelta(days=1),
    AlertPress.UNTIL_RESOLVED: None,
}
UNTIL_RESOLVED = "until resolved"
FIRST_LENGTH = "2h"
MATCHERS, DURATION, COMMENT = "matchers", "duration", "comment"
FORM_LIMIT = 4000
"""Characters of one field of a modal (components/reference, "Text Input")."""
COMMENT_LIMIT = 300
LIFE = timedelta(minutes=15)
"""So long an answer counts: what was shown with the question may be no longer true."""
ASKED = Offers((AlertPress.HOUR, AlertPress.HOURS, AlertPress.DAY), (AlertPress.UNTIL_RESOLVED, AlertPress.CUSTOM))
_QUESTION = "silence"
_PLAIN_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
"""Names that matchers can be written with; others are left out, and the count says what that meets."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a question was about. Without `ends_at` the length is still open, or is until it resolves."""

    matchers: tuple[Matcher, ...]
    group_id: int | None
    ends_at: datetime | None = None
    comment: str = ""

    def as_json(self, person: str) -> dict[str, Any]:
        """To be kept with the handles."""
        ends_at = self.ends_at.isoformat() if self.ends_at else None
        return {"matchers": [str(one) for one in self.matchers], "group": self.group_id, "ends_at": ends_at,
                "comment": self.comment, "person": person, "about": _QUESTION}  # fmt: skip

    @classmethod
    def of(cls, asked: Mapping[str, Any]) -> "Asked":
        ends_at = asked.get("ends_at")
        return cls(
            matchers=tuple(matcher(text) for text in asked.get("matchers", ())),
            group_id=asked.get("group"),
            ends_at=datetime.fromisoformat(ends_at) if ends_at else None,
            comment=str(asked.get("comment", "")),
        )


def of_group(group: AlertGroup) -> tuple[Matcher, ...]:
    """Matchers that meet all that fires of the group, and as little else as can be: the labels that it shares."""
    firing = [episode.labels for episode in group.episodes if episode.firing] or [e.labels for e in group.episodes]
    if not firing:
        return tuple(Matcher(name, value) for name, value in sorted(group.group_labels.items()))
    first, rest = firing[0], firing[1:]
    shared = {
        name: value for name, value in first.items()
        if all(one.get(name) == value for one in rest) and _PLAIN_NAME.fullmatch(name)
    }  # fmt: skip
    ordered = sorted(shared.items(), key=lambda item: (item[0] != "alertname", item[0]))
    return tuple(Matcher(name, value) for name, value in ordered)


async def offer_silence(
    interaction: discord.Interaction[Any], wanted: Sequence[Matcher], group_id: int | None = None
) -> None:
    """Show what a silence with these matchers would meet, and let its length be chosen. The interaction is deferred.

    Raises:
        Refused: the person may not silence that, or Alertmanager cannot read the matchers.
        Unavailable: no Alertmanager answers, so nothing can be silenced.
    """
    alerting = alerting_of(interaction)
    asked = Asked(tuple(wanted), group_id)
    _demand(interaction, alerting, asked.matchers)
    hits = await alerting.silences.count(asked.matchers)
    text = joined([*await _shown(alerting, asked, hits), "**How long?** It is silenced as soon as you press."])
    await _question(interaction, asked, ASKED, text)


async def ask_custom(interaction: discord.Interaction[Any], handle: Handle, *, title: str = "Silence") -> None:
    """Open the form, filled in with what the question was about. It must be the first response."""
    if not theirs(handle, actor_of(interaction)):
        raise Refused(f"Only {handle.asked['person']} was asked this. Nothing was done.", rule="handle")
    asked = Asked.of(handle.asked)
    zone = zone_here(interaction)
    lines: list[str] = []
    for line in (str(one) for one in asked.matchers):
        if sum(len(one) + 1 for one in lines) + len(line) <= FORM_LIMIT:
            lines.append(line)
    blanks = [
        Blank(MATCHERS, "Labels, one a line; remove some to hit more", "\n".join(lines), lines=True, limit=FORM_LIMIT),
        Blank(
            DURATION, "How long", FIRST_LENGTH, limit=60, hint=f"90m, 2h, 1d12h, until 18:00 ({zone}), until resolved"
        ),
        Blank(COMMENT, "Why", asked.comment, required=False, limit=COMMENT_LIMIT),
    ]
    await ask_form(interaction, handle.handle, title=title, blanks=blanks)


async def submitted(interaction: discord.Interaction[Any], handle: Handle, said: Submission) -> None:
    """Show what the silence of the form would meet, and let it be confirmed. The interaction is deferred."""
    alerting, typed = alerting_of(interaction), said.fields.get(DURATION, "").strip()
    zone = zone_here(interaction)
    end = None if typed.lower() == UNTIL_RESOLVED else end_of(typed, utc_now(), zone=zone)
    wanted = matchers(said.fields.get(MATCHERS, ""))
    if not wanted:
        raise Refused("A silence without matchers would silence everything.", hint="Name at least one label.")
    before = Asked.of(handle.asked)
    asked = Asked(
        wanted, before.group_id, end.at if end else None, said.fields.get(COMMENT, "").strip()[:COMMENT_LIMIT]
    )
    _demand(interaction, alerting, asked.matchers)
    hits = await alerting.silences.count(asked.matchers)
    how_long = f"until {stamp(end.at, 'f')} ({stamp(end.at)})" if end else "until it resolves"
    read = f"-# {escape(note, 400)}" if (note := notes_of(end)) else ""
    text = joined([*await _shown(alerting, asked, hits), f"**Silence it {how_long}?** It is not silenced yet.", read])
    await _question(interaction, asked, Offers((AlertPress.CONFIRM,), (AlertPress.CUSTOM,)), text)


async def answered(interaction: discord.Interaction[Any], handle: Handle, press: AlertPress) -> None:
    """Make the silence that was asked about. The interaction is deferred.

    Raises:
        Refused: it was answered already, is too old, was somebody else's question, or the policy says no.
        Unavailable: NOT silenced, in these words.
    """
    house, alerting, actor = house_of(interaction), alerting_of(interaction), actor_of(interaction)
    if not theirs(handle, actor):
        raise Refused(f"Only {handle.asked['person']} was asked this. Nothing was done.", rule="handle")
    if utc_now() - handle.created_at > LIFE:
        hint = "Ask again: you will be shown what it would meet now."
        raise Refused("This question is too old to be answered. Nothing was silenced.", hint=hint, rule="handle")
    asked = Asked.of(handle.asked)
    _demand(interaction, alerting, asked.matchers)
    if not await house.handles.use(handle.handle, actor.name, utc_now()):
        raise Refused("This has been answered already. Nothing more was done.", rule="handle")
    length = LENGTHS.get(press)
    ends_at = asked.ends_at if press is AlertPress.CONFIRM else utc_now() + length if length else None
    wanted = Wanted(
        matchers=asked.matchers, ends_at=ends_at, comment=asked.comment, group_id=asked.group_id,
        kind=SilenceKind.UNTIL_RESOLVED if ends_at is None else SilenceKind.SILENCE,
    )  # fmt: skip
    silence = await alerting.silences.create(wanted, actor)
    await respond(interaction, f"{await _about(alerting, asked)}{made(silence)}")


def made_for(silence: Silence, group: AlertGroup) -> bool:
    """Whether it was made from this group's card, or asks for all that makes the group one: not for any wider end."""
    if silence.kind in (SilenceKind.FOREIGN, SilenceKind.MAINTENANCE):
        return False
    if silence.group_id == group.id:
        return True
    pinned = {one.name: one.value for one in silence.matchers if one.is_equal and not one.is_regex}
    return bool(group.group_labels) and group.group_labels.items() <= pinned.items()


def wider_lines(silences: Sequence[Silence]) -> list[str]:
    """Silences that meet more than one card: which and whose they are, until when, and what ends each of them."""
    lines: list[str] = []
    for silence in silences:
        command = "/maintenance end" if silence.kind is SilenceKind.MAINTENANCE else "/silence expire"
        told = quoted(", ".join(str(one) for one in silence.matchers), 300)
        lines += [f"`{short_silence(silence.am_id)}` {silence_line(silence)}", told, f"`{command}` ends it."]
    return lines


def made(silence: Silence) -> str:
    """What has been done, and how it ends."""
    told = ", ".join(str(one) for one in silence.matchers)
    end = "`/silence expire` ends it." if silence.group_id is None else "Unsilence is in the card's menu."
    return joined([f"**Silenced.** {silence_line(silence)}", quoted(told, 600), end])


async def _about(alerting: Alerting, asked: Asked) -> str:
    group = await alerting.store.group(asked.group_id) if asked.group_id is not None else None
    return f"{named(group)}\n" if group is not None else ""


async def _shown(alerting: Alerting, asked: Asked, hits: Hits) -> list[str]:
    """The matchers, and what they meet now: of this group, and what else."""
    group = await alerting.store.group(asked.group_id) if asked.group_id is not None else None
    told = "\n".join(quoted(str(one), 120) for one in asked.matchers[:20])
    rest = len(asked.matchers) - 20
    more = f"> and {counted(rest, 'more label')}" if rest > 0 else ""
    return [f"Silence {named(group)}" if group else "Silence", told, more, *hit_lines(hits, group)]


def hit_lines(hits: Hits, group: AlertGroup | None) -> list[str]:
    """How many alerts that fire now a silence would meet, and which are not of this card."""
    if hits.total == 0:
        return ["It meets nothing that fires now."]
    ours = group.episodes if group is not None else ()
    own = sum(one.firing and one.fingerprint in hits.fingerprints for one in ours)
    others = hits.total - own
    names = ", ".join(f"{escape(name, 60)} {many}x" for name, many in hits.names[:6])
    quiet = f", {hits.silenced} of them silenced already" if hits.silenced else ""
    if group is None:
        fire = "fires" if hits.total == 1 else "fire"
        return [f"It meets {counted(hits.total, 'alert')} that {fire} now{quiet}: {names}"]
    if not own:
        return [f"It meets **nothing of this card**, but {counted(others, 'other alert')}{quiet}.", f"By name: {names}"]
    if not others:
        return [f"It meets {own} of this card{quiet}, and nothing else."]
    return [f"It meets {own} of this card and **{counted(others, 'other alert')}**{quiet}.", f"By name: {names}"]


def _demand(interaction: discord.Interaction[Any], alerting: Alerting, wanted: Sequence[Matcher]) -> None:
    """Raises Barred where the person may not silence that."""
    place = alerting.silences.environment_of(wanted)
    demand_here(interaction, Action.SILENCE_WRITE, place)


async def _question(interaction: discord.Interaction[Any], asked: Asked, offered: Offers, text: str) -> None:
    handles = await ask_privately(interaction, "silence", asked.as_json(actor_of(interaction).name), offered)
    rows: list[ActionRow[Any]] = rows_of(offered, handles)
    await send(interaction, Sheet(Container(TextDisplay(cut(text, 3800)), *rows, accent_colour=QUESTION_COLOUR)))


async def ask_privately(
    interaction: discord.Interaction[Any], topic: str, asked: Mapping[str, Any], offered: Offers
) -> dict[str, str]:
    """Write down what somebody is shown in private; the handles of what can be pressed there."""
    mint = Mint(
        card_key=f"{topic}:{interaction.id}", generation=0, operation_id=None, digest="",
        guild_id=interaction.guild_id or 0, channel_id=interaction.channel_id or 0,
    )  # fmt: skip
    return await house_of(interaction).handles.question(mint, asked, offered.every, utc_now())

"""What the commands about alerts answer: lists, one group, an ack, silences, maintenance, who is on call, a handover.

Between the cogs, which declare options, and the services, which act. Every list shows only what the person may see and
counts the rest; whatever acts asks the policy about the very environment that it touches.
"""

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import discord

from bot.alerts.model import AlertGroup, Matcher, Silence, SilenceKind
from bot.alerts.rota import upcoming
from bot.alerts.routes import matchers as read_matchers
from bot.alerts.store import GroupFilter
from bot.errors import Refused, Unavailable
from bot.ops.record import utc_now
from bot.policy import ANYBODY, Action
from bot.services.handover import TAKEN_FOR, TOPIC, Handed
from bot.services.silences import Wanted
from bot.services.spans import Meant, end_of, moment_of, notes_of, start_of
from bot.ui.alert_lines import short_id
from bot.ui.alert_pages import groups_text, noise_chart, on_call_text, short_silence, silences_text, statistics_text
from bot.ui.alert_presses import send_details
from bot.ui.answers import respond, send
from bot.ui.board_store import Handle
from bot.ui.card import notice
from bot.ui.gate import demand_here
from bot.ui.handover_card import sections_of
from bot.ui.house import Alerting, actor_of, alerting_of, house_of, jump_url, zone_here
from bot.ui.pictures import PICTURE, cleaned, illustrated
from bot.ui.silence_form import hit_lines, made, offer_silence
from bot.ui.text import DISPLAY_LIMIT, counted, escape, joined, stamp

LISTED = 200
LINKED = 25
"""Groups of a list that get a link to their card: more do not fit into one answer."""
OVER_FOR = timedelta(hours=24)
LONGEST_STATISTICS = timedelta(days=366)
LONGEST_OVERRIDE = timedelta(days=90)
TURNS_SHOWN = 4
_GROUP = re.compile(r"\s*(?:[Aa#]\s*)?(\d{1,12})\b")
_SILENCE = re.compile(r"[0-9a-fA-F][0-9a-fA-F-]{7,63}\Z")
UNTIL_RESOLVED = frozenset({"until resolved", "until it resolves", "resolved"})


# ---- groups --------------------------------------------------------------------------------------------------------


async def send_groups(interaction: discord.Interaction[Any], environment: str, state: str) -> None:
    """Answer with the groups of that state, worst first."""
    store, now = alerting_of(interaction).store, utc_now()
    over = state == "over"
    wanted = GroupFilter(state="closed" if over else "open", environment=environment, limit=LISTED)
    every = await store.groups(replace(wanted, since=now - OVER_FOR) if over else wanted)
    chosen = [group for group in every if _is(group, state)]
    seen = house_of(interaction).lookout.sight(actor_of(interaction), Action.ALERT_VIEW)
    shown = [group for group in chosen if seen.covers(group.environment)]
    heading = f"{counted(len(shown), 'group')} {_STATES[state]}" + (f" in {escape(environment)}" if environment else "")
    links = await card_links(interaction, shown)
    text = groups_text(heading, shown, links, hidden=len(chosen) - len(shown), limit=DISPLAY_LIMIT - 100)
    since = await store.unconfirmed_since()
    doubt = f"! Alertmanager cannot be asked since {stamp(since)}: this is what was last known" if since else ""
    await send(interaction, notice(joined([text, doubt]), share=True))


_STATES = {
    "firing": "firing",
    "unacked": "firing that nobody has",
    "acked": "firing that somebody has",
    "silenced": "firing and silenced",
    "flapping": "flapping",
    "over": "over in the last 24 h",
}


def _is(group: AlertGroup, state: str) -> bool:
    match state:
        case "unacked":
            return group.waits and not group.silenced
        case "acked":
            return bool(group.acked_by) and not group.waits
        case "silenced":
            return group.silenced
        case "flapping":
            return group.flapping
        case "over":
            return not group.open
        case _:
            return group.firing > 0


async def card_links(interaction: discord.Interaction[Any], groups: Iterable[AlertGroup]) -> dict[int, str]:
    """Links to where the groups are shown, alone or in a pack."""
    house, links = house_of(interaction), {}
    for group in list(groups)[:LINKED]:
        row = await house.handles.get(group.card_key)
        if row is not None and row.message_id is not None:
            links[group.id] = f"[card]({jump_url(house, row.channel_id, row.message_id)})"
    return links


async def known_group(interaction: discord.Interaction[Any], typed: str) -> AlertGroup:
    """The group that was named, if the person may see it.

    Raises:
        Refused, Barred: there is none, or it may not be seen.
    """
    found = _GROUP.match(typed)
    group = await alerting_of(interaction).store.group(int(found[1])) if found else None
    if group is None:
        hint = "Pick one of the suggestions, or write A17."
        raise Refused(f"“{typed.strip()[:40]}” is no alert that is known here.", hint=hint)
    demand_here(interaction, Action.ALERT_VIEW, group.environment)
    return group


async def send_group(interaction: discord.Interaction[Any], typed: str) -> None:
    """Answer with everything about one group."""
    group = await known_group(interaction, typed)
    await send_details(interaction, group.id)


async def ack(interaction: discord.Interaction[Any], typed: str) -> None:
    """Take the group for the person, and say so."""
    group = await known_group(interaction, typed)
    demand_here(interaction, Action.ALERT_ACK, group.environment)
    before = group.acked_by
    taken = await alerting_of(interaction).store.ack(group.id, actor_of(interaction).name)
    whose = f" It was {escape(before, 40)}'s." if before and before != taken.acked_by else ""
    links = await card_links(interaction, [taken])
    await respond(
        interaction,
        f"You have {short_id(taken.id)} now: nobody else is called for it.{whose} {links.get(taken.id, '')}",
    )


async def send_statistics(interaction: discord.Interaction[Any], span: str) -> None:
    """Answer with the figures of a span of the past, and the noisiest as a chart.

    Raises:
        Refused: it is no such span.
    """
    now = utc_now()
    since = moment_of(span, now, zone=zone_here(interaction)) or Meant(now - timedelta(days=7))
    if not now - LONGEST_STATISTICS <= since.at < now:
        raise Refused("Figures reach back for a year at most, and not ahead.", hint="Write 24h, 7d or 30d.")
    house = house_of(interaction)
    seen = house.lookout.sight(actor_of(interaction), Action.ALERT_VIEW)
    found = await alerting_of(interaction).store.statistics(since.at, now, sight=seen)
    text = joined([statistics_text(found, DISPLAY_LIMIT - 600, hidden=not seen.whole), _as_read(since)])
    if not found.names:
        await send(interaction, notice(text, share=True))
        return
    try:
        png = await house.charts.render(cleaned(noise_chart(found), house.redactor.clean))
    except Unavailable as error:
        await send(interaction, notice(joined([text, f"! {escape(str(error))}"]), share=True))
        return
    sheet = illustrated(text, PICTURE, about="The noisiest alerts as bars")
    await send(interaction, sheet, file=discord.File(io.BytesIO(png), filename=PICTURE))


# ---- silences ------------------------------------------------------------------------------------------------------


async def send_silences(interaction: discord.Interaction[Any], environment: str, *, maintenance: bool) -> None:
    """Answer with the silences that hold or will, or with the maintenance windows."""
    service = alerting_of(interaction).silences
    found = [
        silence
        for silence in await service.listed()
        if (silence.kind is SilenceKind.MAINTENANCE or not maintenance)
        and (not environment or service.environment_of(silence.matchers) in (environment, ANYBODY))
    ]
    seen = house_of(interaction).lookout.sight(actor_of(interaction), Action.ALERT_VIEW)
    shown = [silence for silence in found if seen.covers(service.environment_of(silence.matchers))]
    heading = "Maintenance, with what is planned" if maintenance else "Silences, with what is planned"
    text = silences_text(heading, shown, utc_now(), hidden=len(found) - len(shown), limit=DISPLAY_LIMIT - 100)
    await send(interaction, notice(text, share=True))


async def create_silence(interaction: discord.Interaction[Any], typed: str, span: str, comment: str) -> None:
    """Silence what the matchers meet; without a length, show what that is and ask for one."""
    found = read_matchers(typed)
    if not found:
        hint = 'Write some like alertname="HighCPUUsage", environment="prod".'
        raise Refused("A silence without matchers would silence everything.", hint=hint)
    _demand_silence(interaction, found)
    if not span.strip():
        await offer_silence(interaction, found)
        return
    end = None if span.strip().lower() in UNTIL_RESOLVED else end_of(span, utc_now(), zone=zone_here(interaction))
    wanted = Wanted(matchers=found, ends_at=end.at if end else None, comment=comment.strip())
    await _silence(interaction, wanted, note=_as_read(end))


def _demand_silence(interaction: discord.Interaction[Any], matchers: Sequence[Matcher]) -> None:
    """That the person may silence these, before anything is asked or shown."""
    place = alerting_of(interaction).silences.environment_of(matchers)
    demand_here(interaction, Action.SILENCE_WRITE, place)


def _as_read(*typed: Meant | None) -> str:
    """A small line about how the times were read that somebody typed, or nothing."""
    note = notes_of(*typed)
    return f"-# {escape(note, 400)}" if note else ""


async def _silence(interaction: discord.Interaction[Any], wanted: Wanted, *, note: str) -> None:
    service = alerting_of(interaction).silences
    hits = await service.count(wanted.matchers)
    silence = await service.create(wanted, actor_of(interaction), called=interaction.user.display_name)
    told = [_told(silence), *hit_lines(hits, None), f"-# `{short_silence(silence.am_id)}`", note]
    await respond(interaction, joined(told))


def _told(silence: Silence) -> str:
    """A silence or a maintenance window that was made, and how it ends sooner."""
    if silence.kind is not SilenceKind.MAINTENANCE:
        return made(silence)
    begins = f"from {stamp(silence.starts_at, 'f')} " if silence.starts_at > utc_now() else ""
    until = f"until {stamp(silence.ends_at, 'f')} ({stamp(silence.ends_at)})"
    what = ", ".join(escape(str(matcher), 80) for matcher in silence.matchers)
    return f"**Maintenance** {begins}{until}\n{what}\n/maintenance end ends it sooner."


async def _found_silence(interaction: discord.Interaction[Any], typed: str) -> str:
    """The whole id of the silence that was named by its id or the beginning of it.

    Raises:
        Refused: there is none, or more than one.
    """
    text = typed.strip().lower()
    known = [one.am_id for one in await alerting_of(interaction).silences.listed()]
    found = [am_id for am_id in known if am_id == text or (_SILENCE.match(text) and am_id.startswith(text))]
    if len(found) != 1:
        what = "no silence that holds" if not found else "more than one silence"
        raise Refused(f"“{text[:40]}” is {what}.", hint="Pick one of the suggestions; /silence list shows them.")
    return found[0]


async def extend_silence(interaction: discord.Interaction[Any], typed: str, span: str) -> None:
    """Let a silence end later, or sooner."""
    am_id, end = await _found_silence(interaction, typed), end_of(span, utc_now(), zone=zone_here(interaction))
    silence = await alerting_of(interaction).silences.extend(am_id, end.at, actor_of(interaction))
    await respond(interaction, joined([_told(silence), _as_read(end)]))


async def expire_silence(interaction: discord.Interaction[Any], typed: str) -> None:
    """End a silence now."""
    am_id = await _found_silence(interaction, typed)
    silence = await alerting_of(interaction).silences.expire(am_id, actor_of(interaction))
    what = ", ".join(escape(str(matcher), 80) for matcher in silence.matchers)
    done = "Maintenance is over" if silence.kind is SilenceKind.MAINTENANCE else "No longer silenced"
    await respond(interaction, f"{done}: {what}\n-# what still fires is shown and calls people again")


async def start_maintenance(
    interaction: discord.Interaction[Any], environment: str, service: str, *, span: str, note: str, start: str
) -> None:
    """Silence a whole environment, or one service of it, for a while, now or from a moment on."""
    labels = house_of(interaction).settings.alerts
    if labels is None:
        raise Refused("This bot takes no alerts: its configuration has no [alerts].", rule="alerts")
    found = [Matcher(labels.labels.environment, environment)]
    if service:
        house_of(interaction).catalog.service(service)
        found.append(Matcher(labels.labels.service, service))
    now, zone = utc_now(), zone_here(interaction)
    begin = start_of(start, now, zone=zone)
    end = end_of(span, now, zone=zone, begins=begin.at)
    wanted = Wanted(
        matchers=tuple(found), starts_at=None if begin.at == now else begin.at, ends_at=end.at, comment=note.strip(),
        kind=SilenceKind.MAINTENANCE,
    )  # fmt: skip
    await _silence(interaction, wanted, note=_as_read(begin, end))


# ---- who is on call ------------------------------------------------------------------------------------------------


async def send_on_call(interaction: discord.Interaction[Any]) -> None:
    """Answer with who is on call, who comes next, and the overrides."""
    now, overrides = utc_now(), await alerting_of(interaction).store.overrides()
    alerts = house_of(interaction).settings.alerts
    rota = alerts.oncall if alerts is not None else None
    turns = upcoming(rota, overrides, now, turns=TURNS_SHOWN)
    text = on_call_text(turns, now, overrides=overrides, zone=rota.zone if rota else "")
    await send(interaction, notice(text, share=True))


async def override_on_call(
    interaction: discord.Interaction[Any], person: str, *, until: str, start: str, reason: str
) -> None:
    """Make somebody the one who is on call for a while."""
    demand_here(interaction, Action.ONCALL_WRITE, "")
    _known_person(interaction, person)
    now, zone = utc_now(), zone_here(interaction)
    begin = start_of(start, now, zone=zone, latest=LONGEST_OVERRIDE)
    end = end_of(until, now, zone=zone, begins=begin.at, longest=LONGEST_OVERRIDE)
    starts_at, ends_at = begin.at, end.at
    by = actor_of(interaction).name
    text = f"{by} put {person} on call from {starts_at:%Y-%m-%d %H:%M} to {ends_at:%Y-%m-%d %H:%M} UTC."
    override = await alerting_of(interaction).store.set_override(
        person, starts_at, ends_at, by=by, reason=reason.strip(), event=("oncall.overridden", by, text, {"to": person})
    )
    begins = "" if starts_at == now else f" from {stamp(starts_at, 'f')}"
    told = f"**{escape(override.person, 40)}** is on call{begins} until {stamp(override.ends_at, 'f')}."
    await respond(interaction, joined([told, _as_read(begin, end)]))


def _known_person(interaction: discord.Interaction[Any], name: str) -> None:
    if name not in house_of(interaction).people.names():
        raise Refused(f"“{name[:40]}” is no person of the configuration.", hint="Pick one of the suggestions.")


async def hand_over(interaction: discord.Interaction[Any], receiver: str, *, note: str, until: str) -> None:
    """Post the card of a handover to somebody, and say where it stands."""
    demand_here(interaction, Action.ONCALL_WRITE, "")
    _known_person(interaction, receiver)
    alerting, house, giver = alerting_of(interaction), house_of(interaction), actor_of(interaction)
    if receiver == giver.name:
        raise Refused("A shift is handed over to somebody else.", hint="/oncall override makes you the one on call.")
    now, zone = utc_now(), zone_here(interaction)
    until_then = end_of(until, now, zone=zone, longest=LONGEST_OVERRIDE) if until.strip() else None
    shift = await alerting.handover.shift(giver)
    links = await card_links(interaction, shift.firing.found)
    offered = await alerting.handover.offer(
        Handed(
            giver=giver.name, receiver=receiver, note=note.strip(), at=now,
            until=until_then.at if until_then else await _turn_ends(alerting, now), sections=sections_of(shift, links),
        )
    )  # fmt: skip
    house.board.changed()
    row = await house.board.standing(offered.card_key, within_s=2.0)
    where = f" [card]({jump_url(house, row.channel_id, row.message_id)})" if row and row.message_id else ""
    told = f"Handed to {escape(receiver, 40)}, who has to press Take over.{where}"
    await respond(interaction, joined([told, _as_read(until_then)]))


async def _turn_ends(alerting: Alerting, now: datetime) -> datetime:
    turn = await alerting.store.on_call(now)
    return turn.ends_at if turn is not None else now + TAKEN_FOR


async def take_over(interaction: discord.Interaction[Any], handle: Handle) -> None:
    """The receiver's press on a handover's card; the interaction is deferred."""
    demand_here(interaction, Action.ONCALL_WRITE, "")
    handover_id = int(handle.card_key.removeprefix(f"{TOPIC}:"))
    handed = await alerting_of(interaction).handover.take(handover_id, actor_of(interaction))
    house_of(interaction).board.changed()
    await respond(interaction, f"You are on call until {stamp(handed.until, 'f')}. The card says so.")

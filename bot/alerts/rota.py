"""Who is on call: the rota of the configuration, and the overrides that people have set. Pure.

A turn begins at the same time of day in the rota's zone, also where the clocks are changed in between. The newest
override that holds at a moment wins.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from bot.alert_settings import OncallSettings
from bot.alerts.model import Override


@dataclass(frozen=True, slots=True)
class Turn:
    """Who is on call from then to then. `override` is set where it is not the rota that says so."""

    person: str
    starts_at: datetime
    ends_at: datetime
    override: Override | None = None


def on_call(rota: OncallSettings | None, overrides: Iterable[Override], at: datetime) -> Turn | None:
    """Whose turn it is at that moment, and from when until when; None: nobody's.

    The turn of the rota is cut where an override begins or ends.
    """
    known = [one for one in overrides if one.starts_at < one.ends_at]
    holding = [one for one in known if one.starts_at <= at < one.ends_at]
    if holding:
        chosen = max(holding, key=_rank)
        newer = [one for one in known if _rank(one) > _rank(chosen)]
        starts_at = max([chosen.starts_at, *(one.ends_at for one in newer if one.ends_at <= at)])
        ends_at = min([chosen.ends_at, *(one.starts_at for one in newer if one.starts_at > at)])
        return Turn(chosen.person, starts_at, ends_at, chosen)
    if rota is None or at < rota.starts_at:
        return None
    person, starts_at, ends_at = _turn(rota, at)
    starts_at = max([starts_at, *(one.ends_at for one in known if one.ends_at <= at)])
    ends_at = min([ends_at, *(one.starts_at for one in known if one.starts_at > at)])
    return Turn(person, starts_at, ends_at)


def upcoming(rota: OncallSettings | None, overrides: Iterable[Override], at: datetime, *, turns: int) -> list[Turn]:
    """The turn at that moment and those after it, without gaps where nobody is on call."""
    known = tuple(overrides)
    found: list[Turn] = []
    moment: datetime | None = at
    while moment is not None and len(found) < turns:
        turn = on_call(rota, known, moment)
        if turn is None:
            later = [one.starts_at for one in known if one.starts_at > moment]
            later += [rota.starts_at] if rota is not None and rota.starts_at > moment else []
            moment = min(later, default=None)
        else:
            found.append(turn)
            moment = turn.ends_at
    return found


def _rank(one: Override) -> tuple[datetime, int]:
    return one.created_at, one.id


def _turn(rota: OncallSettings, at: datetime) -> tuple[str, datetime, datetime]:
    """Counted in local days, so that a turn of seven days ends at the same hour although one day had 23."""
    zone = ZoneInfo(rota.zone)
    first = rota.starts_at.astimezone(zone).replace(tzinfo=None)
    passed = at.astimezone(zone).replace(tzinfo=None) - first
    number = max(0, passed // timedelta(days=rota.turn_days))
    length = timedelta(days=rota.turn_days)

    def begins(turn: int) -> datetime:
        return (first + turn * length).replace(tzinfo=zone).astimezone(UTC)

    # An hour that the clocks leave out or show twice may put the moment on the other side of the border.
    while begins(number) > at:
        number -= 1
    while begins(number + 1) <= at:
        number += 1
    return rota.rota[number % len(rota.rota)], begins(number), begins(number + 1)

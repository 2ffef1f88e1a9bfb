"""When alerts flap: the same one fires again and again. Pure.

How often is counted from episodes, so a restart forgets nothing. A flapping group keeps its one card and calls nobody.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.alert_settings import FlappingSettings


@dataclass(frozen=True, slots=True)
class Weather:
    """How often one of a group's alerts fired within the span, and until when that counts as flapping, if it does."""

    flaps: int
    flapping_until: datetime | None

    @property
    def calm(self) -> bool:
        return self.flapping_until is None


CALM = Weather(0, None)


def weather(fired_at: Iterable[datetime], now: datetime, settings: FlappingSettings) -> Weather:
    """The weather of one alert that fired at these moments. Each firing counts once, whether it has ended or not."""
    span = timedelta(seconds=settings.within_s)
    recent = [at for at in fired_at if now - span < at <= now]
    if len(recent) < settings.cycles:
        return CALM
    return Weather(len(recent), max(recent) + timedelta(seconds=settings.calm_s))


def is_over(flapping_until: datetime | None, now: datetime) -> bool:
    """Whether it was flapping and has been quiet for long enough."""
    return flapping_until is not None and flapping_until <= now

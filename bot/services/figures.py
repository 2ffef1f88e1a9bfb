"""Figures over time: the configured panels, queries as people type them, and the curve behind an alert. Only reads.

Everything is asked of Prometheus with a deadline and within limits; what cannot be had is a sentence, and what is
missing stays missing. What comes out is a picture's content (`plots`) with a small table, and is drawn elsewhere.
"""

import asyncio
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

from bot.alert_settings import MetricsSettings, PanelSettings
from bot.clients.prometheus import POINTS_MAX, Answer, Rule, Series
from bot.errors import Refused, Unavailable
from bot.services.changes import MAINTENANCE, SILENCE, Change
from bot.services.plots import ChartSpec, Curve, Mark, MarkKind, Unit, foremost
from bot.services.promql import condition, filled, placeholders
from bot.services.spans import length_of
from bot.settings import Settings

QUERY_MAX = 2000
"""Characters of a query that somebody types."""
SHORTEST = timedelta(minutes=1)
USUAL = "3h"
RANGES = ("15m", "1h", "3h", "6h", "12h", "24h", "2d", "7d", "14d", "30d")
LEAD = timedelta(minutes=30)
"""So much before an alert's start its graph begins, at least."""
RULES_KEPT = timedelta(seconds=60)
FIRST_PLACE = "prod"
"""The environment that a panel is about when nobody names one, where there is one of that name."""
RATE_INTERVAL_S = 60
"""The least length over which a rate makes sense with a scrape every 15 s: four of them."""
RATE_INTERVAL = "__rate_interval"
EXPORT_SERIES_MAX = 200

_LEGEND = re.compile(r"\{\{\s*([a-zA-Z_]\w*)\s*\}\}")
_NAME = "__name__"


class Asked(Protocol):
    """The part of Prometheus' client that figures use."""

    async def query_range(
        self, promql: str, start: datetime, end: datetime, step: timedelta | None = None,
        *, deadline_s: float | None = None,
    ) -> Answer: ...  # fmt: skip

    async def rules(self, *, deadline_s: float | None = None) -> tuple[Rule, ...]: ...


class Record(Protocol):
    """The part of the index of changes that figures use."""

    async def of(self, environment: str, service: str, since: datetime, until: datetime) -> tuple[Change, ...]: ...


@dataclass(frozen=True, slots=True)
class Reading:
    """A series in three numbers: what it stands at by the end, and its extremes. None: no data."""

    name: str
    last: float | None
    lowest: float | None
    highest: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What a question gave: what to draw, the same as a table, and all series for a file.

    `readings` are those of the foremost series; `found` counts all there were. `warnings` are Prometheus' own words on
    why the answer may be partial. `environment` and `service` are what it is about, as far as the query names them.
    """

    spec: ChartSpec
    readings: tuple[Reading, ...]
    curves: tuple[Curve, ...]
    found: int
    query: str
    warnings: tuple[str, ...] = ()
    environment: str = ""
    service: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """What a panel is about; empty: of all, or of none in particular."""

    environment: str = ""
    service: str = ""


class Figures:
    """Asks Prometheus. Keeps nothing but the list of rules, for a minute."""

    def __init__(self, settings: Settings, *, prometheus: Asked, changes: Record | None = None) -> None:
        assert settings.metrics is not None
        self._settings = settings
        self._metrics: MetricsSettings = settings.metrics
        self._prometheus = prometheus
        self._changes = changes
        self._rules: tuple[datetime, tuple[Rule, ...]] | None = None
        self._one_thread = asyncio.Lock()

    # ---- panels ------------------------------------------------------------------------------------------------

    def panels(self, service: str = "") -> Mapping[str, PanelSettings]:
        """The configured panels, or those that are offered for that service."""
        offered = self._metrics.panels.items()
        return {name: panel for name, panel in offered if not (service and panel.services) or service in panel.services}

    def place(self, name: str, environment: str = "", service: str = "") -> Place:
        """What the panel will be about when this is asked for.

        Raises:
            Refused: there is no such panel, or it is not about that.
        """
        panel = self._panel(name)
        names = placeholders(panel.query)
        for given, word in ((environment, "environment"), (service, "service")):
            if given and word not in names:
                raise Refused(f"The panel {name} does not tell {word}s apart.", hint=f"Leave the {word} out.")
        if service and panel.services and service not in panel.services:
            raise Refused(f"The panel {name} is not about {service}, only about {', '.join(panel.services)}.")
        environments, services = self._settings.environments, self._settings.services
        usual = FIRST_PLACE if FIRST_PLACE in environments else next(iter(environments))
        deployable = next((each for each, one in services.items() if one.deployable), next(iter(services)))
        first = panel.services[0] if panel.services else deployable
        return Place(
            environment=environment or (usual if names.get("environment") else ""),
            service=service or (first if names.get("service") else ""),
        )

    async def panel(self, name: str, place: Place, *, length: timedelta, now: datetime | None = None) -> Picture:
        """The panel's curves over the time up to now.

        Raises:
            Refused: there is no such panel, or Prometheus does not take its query.
            Unavailable: Prometheus does not answer in time, or not with what its API promises.
        """
        panel, end = self._panel(name), now or datetime.now(UTC)
        values = {"environment": place.environment, "service": place.service}
        rate_s = max(RATE_INTERVAL_S, step_of(length))
        query = filled(panel.query, values).replace(f"${RATE_INTERVAL}", f"{rate_s}s")
        frame = ChartSpec(
            title=" · ".join(part for part in (panel.title, place.service, place.environment) if part),
            start=end - length, end=end, step_s=1, unit=Unit(panel.unit), threshold=panel.threshold,
        )  # fmt: skip
        picture = await self._pictured(query, frame, legend=panel.legend)
        marks = await self._marks(place.environment, place.service, frame.start, end)
        spec = replace(picture.spec, marks=marks)
        return replace(picture, spec=spec, environment=place.environment, service=place.service)

    def _panel(self, name: str) -> PanelSettings:
        panel = self._metrics.panels.get(name)
        if panel is None:
            known = ", ".join(self._metrics.panels) or "none"
            raise Refused(f"There is no panel {name[:40]!r}; there are: {known}.", hint="Pick one of the suggestions.")
        return panel

    # ---- queries -----------------------------------------------------------------------------------------------

    def length(self, typed: str) -> timedelta:
        """The range that was meant, within the limits; three hours for nothing typed.

        Raises:
            Refused: it is no length of time, or too short or too long.
        """
        length, longest = length_of(typed.strip() or USUAL), timedelta(seconds=self._metrics.longest_range_s)
        if length > longest:
            raise Refused(f"“{typed[:40]}” is too long: {longest.days} days at most.", hint="Take a shorter range.")
        if length < SHORTEST:
            raise Refused(f"“{typed[:40]}” is too short: a minute at least.", hint="Take a longer range.")
        return length

    async def query(self, promql: str, *, length: timedelta, now: datetime | None = None) -> Picture:
        """The curves of that expression over the time up to now.

        Raises:
            Refused: it is too long, or Prometheus does not take it; the sentence has its words.
            Unavailable: as for `panel`.
        """
        text, end = promql.strip(), now or datetime.now(UTC)
        if len(text) > QUERY_MAX:
            raise Refused(f"That query has {len(text)} characters; {QUERY_MAX} at most.", hint="Shorten it.")
        frame = ChartSpec(title=text, start=end - length, end=end, step_s=1, unit=unit_of(text))
        return await self._pictured(text, frame)

    # ---- alerts ------------------------------------------------------------------------------------------------

    async def of_alert(
        self, *, labels: Sequence[Mapping[str, str]], starts_at: datetime, ends_at: datetime | None = None,
        generator_url: str = "", annotations: Mapping[str, str] | None = None, place: Place | None = None,
    ) -> Picture:  # fmt: skip
        """The curve behind an alert around its time, with its threshold, its start, and what was changed there.

        `labels` are those of the alerts that it is about: their own series are shown, or all where none is theirs.

        Raises:
            Refused: it is not known what the alert is computed from, or Prometheus does not take it.
            Unavailable: as for `panel`.
        """
        about, asked_at = place or Place(), datetime.now(UTC)
        first: Mapping[str, str] = labels[0] if labels else {}
        expression = await self._expression(first, generator_url)
        found = condition(expression)
        start, end = _window(starts_at, ends_at, asked_at, timedelta(seconds=self._metrics.longest_range_s))
        name = first.get("alertname", "alert")
        frame = ChartSpec(
            title=" · ".join(part for part in (name, about.service, about.environment) if part),
            start=start, end=end, step_s=1, unit=unit_of(found.curve, annotations or {}),
            threshold=found.threshold, beyond=found.beyond,
        )  # fmt: skip
        picture = await self._pictured(found.curve, frame, about=labels)
        marks = [Mark(starts_at, f"firing {starts_at.astimezone(UTC):%H:%M}", MarkKind.ALERT)]
        if ends_at is not None:
            marks.append(Mark(ends_at, f"resolved {ends_at.astimezone(UTC):%H:%M}", MarkKind.END))
        marks += await self._marks(about.environment, about.service, start, end)
        spec = replace(picture.spec, marks=tuple(marks))
        return replace(picture, spec=spec, environment=about.environment, service=about.service)

    async def _expression(self, labels: Mapping[str, str], generator_url: str) -> str:
        """The rule's own expression, or the one that the alert's link names.

        Of several rules of one name (a warning and a critical one) it is the one whose labels the alert has.
        """
        name = labels.get("alertname", "")
        of_name = [rule for rule in await self._alerting_rules() if rule.name == name]
        if of_name:
            return max(of_name, key=lambda rule: _likeness(rule, labels)).query
        named = expression_of(generator_url)
        if not named:
            raise Refused(f"Prometheus has no rule named {name[:60]!r}: there is nothing to draw.")
        return named

    async def _alerting_rules(self) -> tuple[Rule, ...]:
        now = datetime.now(UTC)
        if self._rules is None or now - self._rules[0] > RULES_KEPT:
            self._rules = now, tuple(rule for rule in await self._prometheus.rules() if rule.alerting)
        return self._rules[1]

    # ---- from answers to pictures ------------------------------------------------------------------------------

    async def _pictured(
        self, query: str, frame: ChartSpec, *, legend: str = "", about: Sequence[Mapping[str, str]] = ()
    ) -> Picture:
        step_s = step_of(frame.end - frame.start)
        end = frame.end.replace(microsecond=0)
        steps = int((frame.end - frame.start).total_seconds() // step_s)
        start = end - timedelta(seconds=steps * step_s)  # so that the last point is of the end itself
        answer = await self._prometheus.query_range(query, start, end, timedelta(seconds=step_s))
        found = replace(frame, step_s=answer.step_s or float(step_s))
        # In a thread: an answer may hold thousands of series, and the event loop has other things to do. One at a time:
        # each busy thread may keep the interpreter from the loop for 5 ms (sys.getswitchinterval).
        async with self._one_thread:
            return await asyncio.to_thread(
                _picture, query, answer, found, legend=legend, about=about, limit=self._metrics.series_limit
            )

    async def _marks(self, environment: str, service: str, since: datetime, until: datetime) -> tuple[Mark, ...]:
        """What was changed there, but for silences, which no curve could show. Without the record there are none."""
        if self._changes is None:
            return ()
        try:
            found = await self._changes.of(environment, service, since, until)
        except Unavailable:
            return ()
        return tuple(
            Mark(change.at, f"#{change.operation_id} {change.kind}" if change.operation_id else change.kind)
            for change in found
            if change.kind not in (SILENCE, MAINTENANCE)
        )


def step_of(length: timedelta) -> int:
    """Whole seconds between two points, so that a curve has at most 300."""
    return max(1, math.ceil(length.total_seconds() / (POINTS_MAX - 1)))


def expression_of(generator_url: str) -> str:
    """The expression that a link of Prometheus' graph page names (`g0.expr`); empty if it names none."""
    try:
        found = parse_qs(urlsplit(generator_url).query, max_num_fields=50).get("g0.expr", [""])
    except ValueError:
        return ""
    return found[0][:QUERY_MAX]


def unit_of(expression: str, annotations: Mapping[str, str] | None = None) -> Unit:
    """The unit that an annotation `unit` names; else percent or bytes where the expression leaves no doubt, or none."""
    said = (annotations or {}).get("unit", "")
    if said and said in {unit.value for unit in Unit}:
        return Unit(said)
    if re.search(r"\b100\s*\*|\*\s*100\b", expression):
        return Unit.PERCENT
    plain = not re.search(r"[/*]|\b(?:count|rate|irate|increase|changes|absent|group)\b", expression)
    if plain and re.search(r"\w_bytes\b", expression):
        return Unit.BYTES
    if re.search(r"\bhistogram_quantile\b", expression) and re.search(r"\w_seconds(?:_bucket)?\b", expression):
        return Unit.SECONDS
    return Unit.NONE


def _window(
    starts_at: datetime, ends_at: datetime | None, now: datetime, longest: timedelta
) -> tuple[datetime, datetime]:
    """The alert's time with what came before it, as much again as half of it, and a little of what came after."""
    end = min(now, ends_at + LEAD / 2) if ends_at is not None else now
    end = max(end, starts_at + SHORTEST)
    start = starts_at - max(LEAD, (end - starts_at) / 2)
    return max(start, end - longest), end


def _likeness(rule: Rule, labels: Mapping[str, str]) -> int:
    """How many of the labels that the rule sets the alert has, less those that differ; templates tell nothing."""
    fixed = {name: value for name, value in rule.labels.items() if "{{" not in value}
    return sum(1 if labels.get(name) == value else -1 for name, value in fixed.items())


def _belongs(series: Series, about: Sequence[Mapping[str, str]]) -> bool:
    """Whether one of the alerts has all labels of this series."""
    own = {name: value for name, value in series.labels.items() if name != _NAME}
    return any(all(labels.get(name) == value for name, value in own.items()) for labels in about)


def _picture(
    query: str, answer: Answer, frame: ChartSpec, *, legend: str, about: Sequence[Mapping[str, str]], limit: int
) -> Picture:
    """The answer's series within the frame: the foremost as curves and readings, more of them for a file."""
    series = [one for one in answer.series if _belongs(one, about)] or list(answer.series)
    names = _names([one.labels for one in series], legend)
    curves = [Curve(name, one.points) for name, one in zip(names, series, strict=True)]
    kept = foremost(curves, max(limit, EXPORT_SERIES_MAX), lowest=frame.beyond == "<")
    shown = kept[:limit]
    spec = replace(frame, curves=shown, more=len(curves) - len(shown))
    readings = tuple(_reading(curve, spec) for curve in shown)
    return Picture(spec=spec, readings=readings, curves=kept, found=len(curves), query=query, warnings=answer.warnings)


def _names(labels: Sequence[Mapping[str, str]], legend: str) -> Iterator[str]:
    """What each series is called: by the legend, or by the values of the labels that tell them apart.

    Where the legend calls several the same, those labels stand behind it.
    """
    every = sorted({name for one in labels for name in one}, key=lambda name: (name != _NAME, name))
    telling = [name for name in every if len({one.get(name, "") for one in labels}) > 1]
    titles = [_titled(legend, one) for one in labels]
    often = Counter(titles)
    for one, title in zip(labels, titles, strict=True):
        apart = " ".join(value for name in telling if (value := one.get(name)) and value != title)
        if not legend:
            yield apart or one.get("instance") or one.get(_NAME, "")
        else:
            yield f"{title} {apart}".strip() if often[title] > 1 else title


def _titled(legend: str, labels: Mapping[str, str]) -> str:
    return _LEGEND.sub(lambda found: labels.get(found.group(1), ""), legend).strip()


def _reading(curve: Curve, spec: ChartSpec) -> Reading:
    values = curve.values
    if not values:
        return Reading(curve.name, None, None, None)
    return Reading(curve.name, curve.at_end(spec.end, spec.step_s), min(values), max(values))

"""What the configuration says about alerts and metrics: the sections `[alerts]` and `[metrics]`.

Values are checked here as far as they go by themselves; that the channels, roles and people they name exist is asked
by `unknown_names`, which the whole tree calls. Matchers are only text here: `bot.alerts.routes` reads them.
"""

import re
from collections.abc import Collection, Iterator
from datetime import time
from ipaddress import IPv4Network, IPv6Network
from itertools import pairwise
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, Field, HttpUrl, StringConstraints, field_validator, model_validator

from bot.sections import Name, Section

LabelName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]{0,99}$")]
DEFAULT_ROUTE = "default"
"""The route that takes what no other one does. It needs no entry in the file."""
MATCHER = re.compile(r"^\s*[a-zA-Z_][a-zA-Z0-9_]*\s*(=~|!~|!=|=).*$")


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(f"{name!r} is no time zone of this machine's list; write one like 'Europe/Berlin'") from error
    return name


def _without_password(url: HttpUrl) -> HttpUrl:
    if url.username or url.password:
        raise ValueError("the address holds a user or password: take them out")
    return url


def _matcher(text: str) -> str:
    if not MATCHER.match(text):
        raise ValueError(f"""{text!r} is no matcher; write one like severity="critical" or job=~"node.*".""")
    return text


Zone = Annotated[str, AfterValidator(_known_zone)]
Address = Annotated[HttpUrl, AfterValidator(_without_password)]
Matcher = Annotated[str, AfterValidator(_matcher)]
"""One matcher in Alertmanager's syntax: name, one of = != =~ !~, value with or without quotes."""


class LabelSettings(Section):
    """Which labels of an alert say where it belongs and how bad it is."""

    environment: LabelName = "environment"
    service: LabelName = "service"
    severity: LabelName = "severity"


class QuietHours(Section):
    """When a route pings nobody but for critical alerts. `starts` after `ends` goes over midnight."""

    starts: time
    ends: time
    zone: Zone = "UTC"

    @model_validator(mode="after")
    def _a_span(self) -> Self:
        if self.starts == self.ends:
            raise ValueError("quiet hours that start and end at the same time are none; leave them out")
        return self


class EscalationStep(Section):
    """Whom an alert group that nobody has taken pings `after_s` seconds after it opened: exactly one of the three."""

    after_s: int = Field(ge=1, le=7 * 86400)
    role: Name | None = None
    person: Name | None = None
    oncall: bool = False

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.role is not None) + (self.person is not None) + self.oncall != 1:
            raise ValueError("an escalation step names exactly one of role, person and oncall = true")
        return self


class RouteSettings(Section):
    """One route: alerts whose labels fit all its matchers go to this channel and may ping this role."""

    name: Name
    matchers: tuple[Matcher, ...] = ()
    channel: Name
    role: Name | None = None
    """Whom the first firing pings; without one nobody is pinged but by escalation."""
    escalation: tuple[EscalationStep, ...] = ()
    quiet_hours: QuietHours | None = None
    anew_after_s: int | None = Field(default=None, ge=0, le=7 * 86400)
    """This route's own `alerts.anew_after_s`."""
    ack_reminder_s: int | None = Field(default=None, ge=60, le=7 * 86400)
    """This route's own `alerts.ack_reminder_s`."""

    @model_validator(mode="after")
    def _steps_rise(self) -> Self:
        waits = [step.after_s for step in self.escalation]
        if any(later <= earlier for earlier, later in pairwise(waits)):
            raise ValueError("the after_s of escalation steps must rise")
        return self


class FlappingSettings(Section):
    """When a group counts as flapping, and how long it must be quiet to count as calm again."""

    cycles: int = Field(default=3, ge=2, le=100)
    within_s: int = Field(default=1800, ge=10, le=86400)
    calm_s: int = Field(default=1800, ge=10, le=86400)


class HeartbeatSettings(Section):
    """An alert that always fires (`vector(1)`): when it has not come for `every_s`, something on the way is dead.

    `every_s` holds Alertmanager's repeat_interval and group_interval together, and some slack. For `grace_s` after the
    bot's start nothing counts as late: Prometheus sends again only once a minute.
    """

    name: str = Field(default="Watchdog", min_length=1, max_length=100)
    """The alert's label `alertname`."""
    environment: str = Field(default="", max_length=100)
    """The alert's environment label; none: that of the cluster that is asked, whatever its environment."""
    every_s: int = Field(default=180, ge=5, le=86400)
    grace_s: int = Field(default=120, ge=0, le=3600)
    channel: Name = "ops"
    role: Name | None = None


class OncallSettings(Section):
    """Who is on call: the people of the rota take turns of `turn_days` from `starts_at` on, in this zone's days."""

    rota: tuple[Name, ...] = Field(min_length=1)
    starts_at: AwareDatetime
    """The beginning of the first person's first turn; all others begin at the same time of day."""
    turn_days: int = Field(default=7, ge=1, le=366)
    zone: Zone = "UTC"


class SecondRoad(Section):
    """Where critical alerts go that Discord could not show: an SNS topic."""

    topic_arn: str = Field(pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?$")
    after_s: int = Field(default=120, ge=5, le=86400)
    """How long a critical alert may stay unshown."""


class AlertSettings(Section):
    """The section `[alerts]`: where payloads come in, whom to ask what is true, and who hears of it."""

    listen_host: str = "127.0.0.1"
    listen_port: int = Field(default=9095, ge=0, le=65535)
    sources: tuple[IPv4Network | IPv6Network, ...] = ()
    """The networks that payloads may come from; none named: from everywhere that reaches the listener."""
    basic_user: str = Field(default="alertmanager", pattern=r"^[^:\s]{1,64}$")
    """The user of HTTP basic authentication, whose password is the token. A bearer token is taken as well."""
    alertmanagers: tuple[Address, ...] = ()
    """Where Alertmanager's own API is: the members of one cluster, asked in this order. None: only webhooks count."""
    timeout_s: float = Field(default=5, ge=0.1, le=60)
    """How long a member may take to answer."""
    reconcile_s: float = Field(default=20, ge=0.2, le=300)
    channel: Name = "alerts"
    """Where the default route shows what no other route takes."""
    role: Name | None = None
    """Whom the default route pings."""
    labels: LabelSettings = LabelSettings()
    severities: tuple[str, ...] = Field(default=("none", "info", "warning", "critical"), min_length=1)
    """The values of the severity label, rising. The last one is what quiet hours never hold back."""
    anew_after_s: int = Field(default=1800, ge=0, le=7 * 86400)
    """A group that fires again later than this after its end gets a new card."""
    ack_reminder_s: int = Field(default=4 * 3600, ge=1, le=7 * 86400)
    """How long after an ack without an end whoever took it is reminded."""
    flapping: FlappingSettings = FlappingSettings()
    heartbeats: tuple[HeartbeatSettings, ...] = ()
    second_road: SecondRoad | None = None
    oncall: OncallSettings | None = None
    routes: tuple[RouteSettings, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [route.name for route in self.routes]
        if DEFAULT_ROUTE in names:
            raise ValueError(f"a route may not be named {DEFAULT_ROUTE!r}: alerts.channel and alerts.role are that one")
        if len(set(names)) != len(names):
            raise ValueError("two routes have the same name")
        beats = [(beat.name, beat.environment) for beat in self.heartbeats]
        if len(set(beats)) != len(beats):
            raise ValueError("two heartbeats have the same name and environment")
        if self.oncall is None and any(step.oncall for route in self.routes for step in route.escalation):
            raise ValueError("an escalation step says oncall = true, but there is no [alerts.oncall]")
        return self

    @model_validator(mode="after")
    def _never_silent(self) -> Self:
        for route in self.routes:
            if route.role is None and self.role is None and any(step.oncall for step in route.escalation):
                raise ValueError(
                    f"an escalation step of the route {route.name} says oncall = true, and names no role for when"
                    " nobody is on call: give the route a role, or set alerts.role"
                )
        return self

    @property
    def all_routes(self) -> tuple[RouteSettings, ...]:
        """The routes of the file in their order, and the default one last: there is always one that fits."""
        return (*self.routes, RouteSettings(name=DEFAULT_ROUTE, channel=self.channel, role=self.role))

    @property
    def all_channels(self) -> tuple[str, ...]:
        """The channels in which alerts may be shown, each once."""
        return tuple(dict.fromkeys(channel for _, channel in self._channels()))

    def unknown_names(
        self, *, channels: Collection[str], roles: Collection[str], people: Collection[str]
    ) -> Iterator[str]:
        """A sentence for each name that the rest of the file does not know."""
        for place, channel in self._channels():
            if channel not in channels:
                yield f"{place} is {channel!r}, which discord.channels does not list"
        for place, role in self._roles():
            if role is not None and role not in roles:
                yield f"{place} is {role!r}, which discord.roles does not list"
        for place, person in self._people():
            if person not in people:
                yield f"{place} is {person!r}, who is not among the people"

    def _channels(self) -> Iterator[tuple[str, str]]:
        yield "alerts.channel", self.channel
        for route in self.routes:
            yield f"the channel of the route {route.name}", route.channel
        for beat in self.heartbeats:
            yield f"the channel of the heartbeat {beat.name}", beat.channel

    def _roles(self) -> Iterator[tuple[str, str | None]]:
        yield "alerts.role", self.role
        for route in self.routes:
            yield f"the role of the route {route.name}", route.role
            for step in route.escalation:
                yield f"the role of an escalation step of the route {route.name}", step.role
        for beat in self.heartbeats:
            yield f"the role of the heartbeat {beat.name}", beat.role

    def _people(self) -> Iterator[tuple[str, str]]:
        for person in self.oncall.rota if self.oncall is not None else ():
            yield "a person of alerts.oncall.rota", person
        for route in self.routes:
            for step in route.escalation:
                if step.person is not None:
                    yield f"the person of an escalation step of the route {route.name}", step.person


Unit = Literal["", "percent", "ratio", "bytes", "bytes/s", "seconds", "ms", "requests/s", "count", "celsius"]
"""What a figure is measured in. `percent` is 0 to 100, `ratio` 0 to 1 and shown as percent."""


class PanelSettings(Section):
    """One named chart. In the query `$environment` and `$service` stand for what was asked for."""

    title: str = Field(min_length=1, max_length=80)
    query: str = Field(min_length=1, max_length=2000)
    unit: Unit = ""
    threshold: float | None = None
    legend: str = Field(default="", max_length=100)
    """How a line is called: text with `{{label}}` in it; empty: the labels that tell the lines apart."""
    services: tuple[Name, ...] = ()
    """For which services it is offered; none named: for all."""


class FigureSettings(Section):
    """The queries behind the figures of /status, each answering with one number; an empty one is not shown.

    `$environment` and `$service` stand for the row's own. cpu, memory, disk, errors and slo_left in percent, requests a
    second, p95 in seconds.
    """

    cpu: str = ""
    memory: str = ""
    disk: str = ""
    requests: str = ""
    errors: str = ""
    p95: str = ""
    slo_left: str = ""


class MetricsSettings(Section):
    """The section `[metrics]`: the Prometheus that is asked, within which limits, and what for."""

    url: Address
    timeout_s: float = Field(default=5, ge=0.2, le=60)
    concurrency: int = Field(default=3, ge=1, le=8)
    longest_range_s: int = Field(default=30 * 86400, ge=3600, le=400 * 86400)
    """How far back a range may reach."""
    series_limit: int = Field(default=20, ge=1, le=50)
    """How many lines a chart holds at most."""
    panels: dict[Name, PanelSettings] = Field(default_factory=dict)
    figures: FigureSettings = FigureSettings()

    @field_validator("panels")
    @classmethod
    def _choices_hold_them(cls, panels: dict[str, PanelSettings]) -> dict[str, PanelSettings]:
        if len(panels) > 100:
            raise ValueError("more than 100 panels: nobody finds one among them")
        return panels

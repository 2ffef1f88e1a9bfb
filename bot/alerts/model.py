"""What alerts are made of: payloads as they come in, episodes and groups as they stand, silences and pings.

All frozen. Times are aware UTC. Nothing here decides anything; a few properties only count.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from bot.matcher import Matcher as Matcher

Labels = Mapping[str, str]
NOTHING: Labels = MappingProxyType({})
OWN = "quarterdeck/"
"""The group keys of the bot's own alerts begin so; Alertmanager knows nothing of them."""


class State(StrEnum):
    """How an episode stands. Silenced and inhibited ones are firing all the same."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert as somebody reports it. `ends_at` is None while it fires."""

    fingerprint: str
    labels: Labels
    annotations: Labels
    starts_at: datetime
    ends_at: datetime | None = None
    generator_url: str = ""

    @property
    def firing(self) -> bool:
        return self.ends_at is None

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")


@dataclass(frozen=True, slots=True)
class Payload:
    """What one webhook says. `truncated` alerts were left out of it by Alertmanager."""

    receiver: str
    status: State
    group_key: str
    truncated: int
    group_labels: Labels
    common_labels: Labels
    common_annotations: Labels
    external_url: str
    alerts: tuple[Alert, ...]


# ---- what Alertmanager's API says ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SeenAlert:
    """An alert that is held as firing at this moment; `state` is `active`, `suppressed` or `unprocessed`."""

    alert: Alert
    state: str = "active"
    silenced_by: tuple[str, ...] = ()
    inhibited: bool = False

    @property
    def suppressed(self) -> bool:
        return bool(self.silenced_by) or self.inhibited


@dataclass(frozen=True, slots=True)
class SeenGroup:
    """Alerts that are told of together. The API does not tell the key that webhooks carry."""

    receiver: str
    labels: Labels
    alerts: tuple[SeenAlert, ...]


@dataclass(frozen=True, slots=True)
class SeenSilence:
    """A silence as Alertmanager holds it, whoever made it; `state` is `pending`, `active` or `expired`."""

    id: str
    state: str
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str


ALERTMANAGER = "alertmanager"
PROMETHEUS = "prometheus"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that is said at one moment by `source`: `alertmanager`, or `prometheus` while nobody else answers.

    `at` is when the asking BEGAN: what was told to us after it is newer than this. `settled`: what is missing may have
    ended (an Alertmanager that has just started knows nothing yet). Prometheus' word only adds, and never ends.
    """

    source: str
    at: datetime
    alerts: tuple[SeenAlert, ...]
    groups: tuple[SeenGroup, ...] = ()
    silences: tuple[SeenSilence, ...] = ()
    settled: bool = True


@dataclass(frozen=True, slots=True)
class Observed:
    """What a snapshot changed, counted."""

    resolved: int = 0
    reopened: int = 0
    adopted: int = 0
    quieted: int = 0
    unquieted: int = 0
    confirmed: int = 0
    silences: int = 0

    def __bool__(self) -> bool:
        return bool(
            self.resolved
            or self.reopened
            or self.adopted
            or self.quieted
            or self.unquieted
            or self.confirmed
            or self.silences
        )


# ---- what stands in rows -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Episode:
    """One firing of one fingerprint, known by (fingerprint, starts_at); `starts_at` is whole seconds.

    `confirmed`: Alertmanager's API has said so as well, or there is none to ask. `provisional`: only Prometheus told of
    it so far, and its start is not Alertmanager's. `ack` belongs to the episode and stays with it as history.
    """

    fingerprint: str
    starts_at: datetime
    group_id: int
    labels: Labels
    annotations: Labels
    state: State
    confirmed: bool
    first_seen_at: datetime
    severity: str = ""
    provisional: bool = False
    silenced_by: tuple[str, ...] = ()
    inhibited: bool = False
    ended_at: datetime | None = None
    acked_by: str = ""
    acked_at: datetime | None = None
    generator_url: str = ""
    told_by: str = ""
    """By whose webhook (`tellers`); empty: by the API that is asked."""

    @property
    def firing(self) -> bool:
        return self.state is State.FIRING

    @property
    def suppressed(self) -> bool:
        """Whether it fires and pings nobody: silenced, or inhibited by another alert."""
        return bool(self.silenced_by) or self.inhibited

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")


class Reason(StrEnum):
    """Why somebody is called."""

    FIRST = "first firing"
    REFIRED = "fires again"
    SEVERITY = "severity up"
    JOINED = "new since the ack"
    ESCALATION = "escalation"
    REMINDER = "reminder"


@dataclass(frozen=True, slots=True)
class Ping:
    """Somebody is to be called, once. Without roles and people nobody is.

    The first one of a group (FIRST, REFIRED) goes out with the post of its card; each other one has the card
    `alertping:<id>` beside it. `held_until` is set where quiet hours hold it back.
    """

    id: int
    group_id: int
    reason: Reason
    roles: tuple[str, ...]
    people: tuple[str, ...]
    at: datetime
    held_until: datetime | None = None
    detail: str = ""

    @property
    def opening(self) -> bool:
        """Whether the group's own card carries it when it is posted."""
        return self.reason in (Reason.FIRST, Reason.REFIRED)

    @property
    def card_key(self) -> str:
        return f"alertping:{self.id}"


class SilenceKind(StrEnum):
    """What a silence is for. `foreign`: made elsewhere, and only shown here."""

    SILENCE = "silence"
    UNTIL_RESOLVED = "until_resolved"
    MAINTENANCE = "maintenance"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Silence:
    """A silence of Alertmanager's, with what we know of it. `ended_at` is set once it is expired or gone there."""

    am_id: str
    person: str
    kind: SilenceKind
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    comment: str = ""
    group_id: int | None = None
    ended_at: datetime | None = None

    @property
    def open(self) -> bool:
        return self.ended_at is None


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Some of a group fires by the word of an Alertmanager that is not known to be of the cluster that the bot asks.

    `teller` is its external URL, and where its webhooks come from; `many` is how many alerts it is. `certain`: the
    asked one was looked at since, and does not hold them.
    """

    teller: str
    many: int
    certain: bool


@dataclass(frozen=True, slots=True)
class NextCall:
    """Whom a group calls next, and when, if nobody takes it until then. `who` is a role, a person, or whoever has
    the shift.
    """

    who: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AlertGroup:
    """One group of alerts on one card: Alertmanager's group, from its first firing to its end and a while beyond.

    `episodes` are in the order of their start, only the newest of each fingerprint; it is empty where only the counts
    were asked for. `severity` is the worst that fires (of an ended group: the worst that fired last). `fired_at` is
    when it last began to fire, `opened_at` when this row did. `acked_by` is who has it, of an ended group who had it;
    `unacked_since` is since when it waits for somebody, None where nobody needs to take it. `unconfirmed_since` is set
    while Alertmanager cannot be asked. `previous_id` is the group of the same key before this one. `elsewhere` is set
    while something fires of which the asked Alertmanager knows nothing, because another one told of it.
    """

    id: int
    group_key: str
    receiver: str
    channel: str
    route: str
    environment: str
    service: str
    severity: str
    title: str
    group_labels: Labels
    common_labels: Labels
    common_annotations: Labels
    external_url: str
    opened_at: datetime
    fired_at: datetime
    updated_at: datetime
    closed_at: datetime | None = None
    firing: int = 0
    members: int = 0
    suppressed: int = 0
    truncated: int = 0
    repeats: int = 0
    acked_by: str = ""
    acked_at: datetime | None = None
    unacked_since: datetime | None = None
    escalation_step: int = 0
    flaps: int = 0
    flapping_until: datetime | None = None
    unconfirmed_since: datetime | None = None
    unconfirmed: int = 0
    previous_id: int | None = None
    reopened: int = 0
    ping: Ping | None = None
    silences: tuple[Silence, ...] = ()
    elsewhere: Elsewhere | None = None
    calls_next: NextCall | None = None
    episodes: tuple[Episode, ...] = field(default=(), repr=False)

    @property
    def card_key(self) -> str:
        return card_key(self.id)

    @property
    def open(self) -> bool:
        return self.closed_at is None

    @property
    def own(self) -> bool:
        """Whether it is an alert of the bot's own, of which Alertmanager knows nothing."""
        return self.group_key.startswith(OWN)

    @property
    def silenced(self) -> bool:
        """Whether it fires and all that fires is silenced or inhibited."""
        return self.firing > 0 and self.suppressed >= self.firing

    @property
    def waits(self) -> bool:
        """Whether somebody is to take it, be it only for what joined after somebody had."""
        return self.unacked_since is not None

    @property
    def flapping(self) -> bool:
        """Whether it counts as flapping; `flaps` is how often in the settings' span."""
        return self.flapping_until is not None

    @property
    def in_doubt(self) -> bool:
        """Whether it has ended only by a webhook's word while nobody can be asked."""
        return self.unconfirmed_since is not None and self.unconfirmed > 0


def card_key(group_id: int) -> str:
    """The key of a group's card."""
    return f"alert:{group_id}"


@dataclass(frozen=True, slots=True)
class Override:
    """Somebody else is on call from then to then, whatever the rota says."""

    id: int
    person: str
    starts_at: datetime
    ends_at: datetime
    by: str
    created_at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """When an alert that always fires was last heard of."""

    name: str
    beat_at: datetime


class Happened(StrEnum):
    """What a moment in a group's life was."""

    FIRED = "fired"
    ENDED = "ended"
    ACKED = "acked"
    PINGED = "pinged"


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened to a group. Several alerts at once are one; `text` is plain and names no person."""

    at: datetime
    kind: Happened
    text: str
    person: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True)
class FiringCount:
    """How many episodes fire somewhere, how many of them are silenced or inhibited, and the worst of the others."""

    firing: int
    suppressed: int
    worst: str


@dataclass(frozen=True, slots=True)
class NameFigures:
    """What one alertname did in a span: how often it fired, and how long until somebody took it and until it ended.

    `acked` and `ended` are how many episodes the two means are of; a mean of none is None. `flaps` is how many
    episodes began within the flapping span after the end of the one before.
    """

    name: str
    episodes: int
    acked: int
    ended: int
    mtta_s: float | None
    mttr_s: float | None
    flaps: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """The noisiest first; `days` counts episodes by the UTC day on which they began."""

    since: datetime
    until: datetime
    names: tuple[NameFigures, ...]
    days: tuple[tuple[datetime, int], ...]
    episodes: int
    pings: int
    mtta_s: float | None
    mttr_s: float | None
    flaps: int

"""What a report says about an episode that is known already, and the SQL that writes it. Groups are another room's.

A fingerprint fires once at a time, so two reports of it that overlap in time are one episode. What was resolved stays
resolved whatever an older report says: webhooks have no order between members of a cluster, and may come again. Only
Alertmanager's API, which speaks of now, opens an episode again.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Text, bindparam, select, type_coerce, update
from sqlalchemy.dialects import sqlite

from bot.alerts.model import Alert, Labels, State
from bot.db.tables import alert_episodes

T = TypeVar("T")
e = alert_episodes.c
CHUNK = 400
"""So many fingerprints are asked for at once."""
SAME_START = timedelta(seconds=5)
"""Members of a cluster may take one start for another by so much; a later one is a new episode."""
LATE = timedelta(minutes=5)
"""A webhook may be late by Alertmanager's group_interval, which is five minutes unless somebody says otherwise."""


@dataclass(frozen=True, slots=True)
class Told:
    """One alert as it was told, ready to be written: texts are clean, labels and annotations canonical JSON."""

    alert: Alert
    starts_at: datetime
    name: str
    labels: str
    annotations: str
    generator_url: str
    severity: str

    @property
    def fingerprint(self) -> str:
        return self.alert.fingerprint


@dataclass(frozen=True, slots=True)
class Known:
    """The newest episode of a fingerprint as its row says. `annotations` is canonical JSON."""

    id: int
    fingerprint: str
    starts_at: datetime
    group_id: int
    state: State
    annotations: str
    severity: str
    told_at: datetime
    ended_at: datetime | None
    provisional: bool
    acked: bool
    told_by: str

    @property
    def firing(self) -> bool:
        return self.state is State.FIRING


class Verdict(Enum):
    """What a report means for what is known."""

    NEW = auto()
    """An episode that nobody knew; one that was known and fires still has ended unseen."""
    SAME = auto()
    """The known episode goes on, or has ended as it was known."""
    ENDS = auto()
    REOPENS = auto()
    PAST = auto()
    """An episode that ended before the known one began."""
    LATE = auto()
    """Older than what is known: nothing."""


def judge(alert: Alert, starts_at: datetime, known: Known | None, *, told_at: datetime, final: bool) -> Verdict:
    """What this report means. `starts_at` is the alert's, in whole seconds.

    `final`: somebody else (the API) says when a resolved episode fires again; else a report that is too late to be
    only late says so.
    """
    if known is None:
        return Verdict.NEW
    if alert.firing:
        return _judge_firing(starts_at, known, told_at=told_at, final=final)
    ends_at = alert.ends_at or told_at
    if known.firing:
        if known.provisional or starts_at <= known.starts_at + SAME_START:
            return Verdict.ENDS if known.provisional or ends_at >= known.starts_at else Verdict.PAST
        return Verdict.NEW
    if starts_at > known.starts_at + SAME_START:
        return Verdict.NEW
    return Verdict.SAME if starts_at >= known.starts_at - SAME_START else Verdict.PAST


def _judge_firing(starts_at: datetime, known: Known, *, told_at: datetime, final: bool) -> Verdict:
    later = starts_at > known.starts_at + SAME_START
    if known.firing:
        return Verdict.NEW if later and not known.provisional else Verdict.SAME
    if later:
        return Verdict.NEW
    same = starts_at >= known.starts_at - SAME_START
    if same and not final and told_at - known.told_at > LATE:
        return Verdict.REOPENS
    return Verdict.LATE


def whole_second(at: datetime) -> datetime:
    return at.replace(microsecond=0)


def canonical(labels: Labels) -> str:
    """As the column's own type writes it, so that equal values are equal texts."""
    return json.dumps(dict(labels), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def chunked(items: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    found = iter(items)
    while chunk := list(islice(found, size)):
        yield chunk


# ---- SQL -----------------------------------------------------------------------------------------------------------

_KNOWN = select(
    e.id,
    e.fingerprint,
    e.starts_at,
    e.group_id,
    e.state,
    type_coerce(e.annotations, Text).label("annotations"),
    e.severity,
    e.told_at,
    e.ended_at,
    e.provisional,
    (e.acked_by != "").label("acked"),
    e.told_by,
).where(e.fingerprint.in_(bindparam("fingerprints", expanding=True)), e.latest)

_INSERT = sqlite.insert(alert_episodes).values(
    labels=bindparam("labels", type_=Text),
    annotations=bindparam("annotations", type_=Text),
    **{
        name: bindparam(name)
        for name in (
            "fingerprint", "starts_at", "group_id", "name", "generator_url", "severity", "state", "latest", "member",
            "confirmed", "provisional", "silenced_by", "inhibited", "first_seen_at", "told_at", "told_by", "ended_at",
        )
    },
).on_conflict_do_nothing(index_elements=["fingerprint", "starts_at"])  # fmt: skip

_BY_ID = e.id == bindparam("wanted_id")
_SUPERSEDE = update(alert_episodes).where(_BY_ID).values(latest=False)
_LEAVE = update(alert_episodes).where(e.fingerprint == bindparam("wanted"), e.group_id == bindparam("of"), e.member)
_LEAVE = _LEAVE.values(member=False)
_END = update(alert_episodes).where(_BY_ID, e.state == State.FIRING.value)
_END = _END.values(
    state=State.RESOLVED.value,
    ended_at=bindparam("ended"),
    told_at=bindparam("told"),
    confirmed=bindparam("sure"),
    missing_since=None,
)
_REOPEN = update(alert_episodes).where(_BY_ID, e.state == State.RESOLVED.value)
_REOPEN = _REOPEN.values(
    state=State.FIRING.value,
    ended_at=None,
    told_at=bindparam("told"),
    confirmed=True,
    missing_since=None,
)
_RETOLD = _REOPEN.values(told_by=bindparam("by"))
_DISOWN = update(alert_episodes).where(_BY_ID).values(acked_by="", acked_at=None)
_TELL = update(alert_episodes).where(_BY_ID)
_TELL = _TELL.values(
    told_at=bindparam("told"),
    annotations=bindparam("said", type_=Text),
    starts_at=bindparam("since"),
    told_by=bindparam("by"),
    provisional=False,
    confirmed=True,
    missing_since=None,
)


def known_of(connection: Connection, fingerprints: Sequence[str]) -> dict[str, Known]:
    """The newest episode of each of these fingerprints that has one."""
    found: dict[str, Known] = {}
    for chunk in chunked(fingerprints):
        for row in connection.execute(_KNOWN, {"fingerprints": chunk}):
            values = row._asdict()
            found[row.fingerprint] = Known(**{**values, "state": State(row.state)})
    return found


@dataclass(frozen=True, slots=True)
class Written:
    """What was written of one group's reports: how many of each, and which fingerprints fire again.

    `unsilenced`: a silence of one that fires on is over.
    """

    new: int = 0
    refired: tuple[str, ...] = ()
    ended: int = 0
    reopened: int = 0
    past: int = 0
    retold: int = 0
    unsilenced: bool = False

    @property
    def changed(self) -> bool:
        return bool(self.new or self.ended or self.reopened or self.past or self.retold)


@dataclass(frozen=True, slots=True)
class Report:
    """Reports of one moment for one group, each with what is known and what it means.

    `sure`: nobody needs to confirm an end any more. `provisional`: only Prometheus says so. `told_by` is whose webhook
    it is, empty where the API says so.
    """

    group_id: int
    at: datetime
    rows: Sequence[tuple[Told, Known | None, Verdict]]
    sure: bool = False
    provisional: bool = False
    told_by: str = ""
    silences: Mapping[str, tuple[tuple[str, ...], bool]] | None = None


def write(connection: Connection, report: Report) -> Written:
    """Write what these reports mean. Statements run once for all rows of a kind."""
    by_verdict: dict[Verdict, list[tuple[Told, Known | None]]] = {verdict: [] for verdict in Verdict}
    for told, known, verdict in report.rows:
        by_verdict[verdict].append((told, known))
    new, past = by_verdict[Verdict.NEW], by_verdict[Verdict.PAST]
    ends = [(told, known) for told, known in by_verdict[Verdict.ENDS] if known is not None]
    reopens = [known for _, known in by_verdict[Verdict.REOPENS] if known is not None]
    retold = [
        (told, known) for told, known in by_verdict[Verdict.SAME] if known is not None and _says_more(told, known)
    ]
    moved = [(told, known) for told, known in retold if known.provisional and _is_free(connection, told)]
    _supersede(connection, report, [(told, known) for told, known in new if known is not None])
    _many(connection, _INSERT, [_row(report, told, latest=True) for told, _ in new])
    _many(connection, _INSERT, [_row(report, told, latest=False) for told, _ in past])
    _many(
        connection,
        _END,
        [_end(known, ended=_ended_at(told, report.at), at=report.at, sure=report.sure) for told, known in ends],
    )
    again = [{"wanted_id": known.id, "told": report.at, "by": report.told_by} for known in reopens]
    _many(connection, _RETOLD, again)
    _many(connection, _DISOWN, [{"wanted_id": known.id} for known in reopens])
    _many(
        connection,
        _TELL,
        [
            {
                "wanted_id": known.id,
                "told": report.at,
                "said": told.annotations,
                "by": report.told_by,
                "since": told.starts_at if (told, known) in moved else known.starts_at,
            }
            for told, known in retold
        ],
    )
    refired = tuple(told.fingerprint for told, known in new if known is not None and told.alert.firing)
    return Written(len(new), refired, len(ends), len(reopens), len(past), len(retold))


def _says_more(told: Told, known: Known) -> bool:
    """Whether the report of an episode that goes on holds something new. An end says nothing new of what ended."""
    return told.alert.firing and known.firing and (known.provisional or told.annotations != known.annotations)


def _is_free(connection: Connection, told: Told) -> bool:
    """Whether no older episode began in that second: then what Prometheus told of gets its real start."""
    statement = select(e.id).where(e.fingerprint == told.fingerprint, e.starts_at == told.starts_at)
    return connection.execute(statement).first() is None


def _supersede(connection: Connection, report: Report, pairs: Sequence[tuple[Told, Known]]) -> None:
    """What was the newest of its fingerprint is not any more; what still fired has ended unseen."""
    unseen = [
        _end(known, ended=max(told.starts_at, known.starts_at), at=report.at, sure=True)
        for told, known in pairs
        if known.firing
    ]
    _many(connection, _END, unseen)
    _many(connection, _SUPERSEDE, [{"wanted_id": known.id} for _, known in pairs])
    _many(connection, _LEAVE, [{"wanted": known.fingerprint, "of": report.group_id} for _, known in pairs])


def _end(known: Known, *, ended: datetime, at: datetime, sure: bool) -> dict[str, Any]:
    return {"wanted_id": known.id, "ended": ended, "told": at, "sure": sure}


def _ended_at(told: Told, at: datetime) -> datetime:
    """When it says that it ended; one that ended when it began only tells that it has."""
    ends_at = told.alert.ends_at
    return at if ends_at is None or ends_at <= told.alert.starts_at else min(ends_at, at)


def _row(report: Report, told: Told, *, latest: bool) -> dict[str, Any]:
    firing = told.alert.firing
    silenced_by, inhibited = (report.silences or {}).get(told.fingerprint, ((), False))
    return {
        "fingerprint": told.fingerprint,
        "starts_at": told.starts_at,
        "group_id": report.group_id,
        "name": told.name,
        "labels": told.labels,
        "annotations": told.annotations,
        "generator_url": told.generator_url,
        "severity": told.severity,
        "state": State.FIRING.value if firing else State.RESOLVED.value,
        "latest": latest,
        "member": latest,
        "confirmed": not report.provisional if firing else report.sure,
        "provisional": report.provisional,
        "silenced_by": list(silenced_by),
        "inhibited": inhibited,
        "first_seen_at": report.at,
        "told_at": report.at,
        "told_by": report.told_by,
        "ended_at": None if firing else _ended_at(told, report.at),
    }


def _many(connection: Connection, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(statement, list(rows))


def end_all(connection: Connection, ids: Iterable[int], *, ended: datetime, at: datetime) -> None:
    """End these episodes by the API's word, wherever they still fire."""
    _many(connection, _END, [{"wanted_id": one, "ended": ended, "told": at, "sure": True} for one in ids])


def reopen_all(connection: Connection, ids: Iterable[int], *, at: datetime) -> None:
    """Let these episodes fire again by the API's word. Whoever had one still has it."""
    _many(connection, _REOPEN, [{"wanted_id": one, "told": at} for one in ids])


def disown_all(connection: Connection, ids: Iterable[int]) -> None:
    """Take these episodes from whoever had them."""
    _many(connection, _DISOWN, [{"wanted_id": one} for one in ids])

"""Who tells us of alerts, and for which of them the API that we ask can speak.

The bot asks one cluster. Another Alertmanager may hand in its alerts all the same, and what the asked one does not hold
says nothing of those. A teller is known by its external URL and by where its webhooks come from, since two stacks made
alike have the same URL. It is the asked cluster's from the first time that an alert that it told of, or its heartbeat,
is seen there with the same start: so each member of a cluster is learnt by itself, and nobody has to configure it. A
cluster is the list of addresses that the settings have; with another list everything is learnt anew.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Connection, Text, bindparam, func, or_, select, update
from sqlalchemy.dialects import sqlite

from bot.alert_settings import AlertSettings
from bot.alerts.episodes import Told, chunked
from bot.alerts.model import Elsewhere, State
from bot.db.tables import alert_episodes, alert_tellers

NOBODY = ""
"""The teller of what the asked API or Prometheus brought, and of webhooks without an external URL."""

e, t = alert_episodes.c, alert_tellers.c

_CLUSTER: BindParameter[str] = bindparam("cluster", type_=Text)
_ASKED = select(t.name).where(t.cluster == _CLUSTER, t.cluster != "")
_UNPROVEN = select(t.name.label("told_by"), t.fingerprint, t.starts_at).where(
    t.cluster != _CLUSTER, t.starts_at.is_not(None)
)
_HEARD = sqlite.insert(alert_tellers)
_HEARD = _HEARD.on_conflict_do_update(
    index_elements=["name"],
    set_={"fingerprint": _HEARD.excluded.fingerprint, "starts_at": _HEARD.excluded.starts_at},
)
_PROVED = sqlite.insert(alert_tellers)
_PROVED = _PROVED.on_conflict_do_update(index_elements=["name"], set_={"cluster": _PROVED.excluded.cluster})
_ELSEWHERE = (
    select(
        e.group_id,
        func.min(e.told_by).label("name"),
        func.count().label("many"),
        func.count(e.missing_since).label("missed"),
    )
    .where(e.state == State.FIRING.value, e.member, e.told_by != NOBODY, e.told_by.not_in(_ASKED))
    .group_by(e.group_id)
)


def teller(external_url: str, source: str) -> str:
    """The name of whoever sends webhooks with that external URL from there."""
    return f"{external_url} from {source}" if external_url and source else external_url


def cluster_of(settings: AlertSettings) -> str:
    """The name of the cluster that is asked; empty where none is."""
    return " ".join(sorted(map(str, settings.alertmanagers)))


def asked(connection: Connection, cluster: str) -> frozenset[str]:
    """The tellers whose alerts the asked API holds as well; nobody is one of them."""
    return frozenset((NOBODY, *connection.execute(_ASKED, {"cluster": cluster}).scalars()))


def beat_heard(connection: Connection, name: str, beat: Told) -> None:
    """Keep what the teller's heartbeat was, for when it is to be found out where it belongs."""
    if name:
        connection.execute(_HEARD, {"name": name, "fingerprint": beat.fingerprint, "starts_at": beat.starts_at})


def proven(connection: Connection, cluster: str, firing: Sequence[Any], begun: Mapping[str, datetime]) -> set[str]:
    """The tellers that prove to be the asked cluster's: something they told of is seen, and began in that second."""
    known = asked(connection, cluster)
    told = [row for row in firing if row.told_by not in known]
    return {
        row.told_by
        for row in (*told, *connection.execute(_UNPROVEN, {"cluster": cluster}).all())
        if begun.get(row.fingerprint) == row.starts_at
    }


def learn(connection: Connection, names: Iterable[str], cluster: str) -> set[int]:
    """These tellers are the asked cluster's from now on; the groups of which another one was believed to tell.

    What was missing before that counts anew: it was not known then that it means something.
    """
    wanted = sorted(names)
    for name in wanted:
        connection.execute(_PROVED, {"name": name, "cluster": cluster})
    if not wanted:
        return set()
    missed = (e.told_by.in_(wanted), e.state == State.FIRING.value, e.missing_since.is_not(None))
    groups = set(connection.execute(select(e.group_id).where(*missed).distinct()).scalars())
    connection.execute(update(alert_episodes).where(*missed).values(missing_since=None))
    return groups


def elsewhere(connection: Connection, ids: Iterable[int], cluster: str) -> dict[int, Elsewhere]:
    """Of these groups, those that fire by the word of a teller that is not known to be the asked cluster's."""
    return {
        row.group_id: Elsewhere(row.name, row.many, certain=row.missed > 0)
        for chunk in chunked(ids)
        for row in connection.execute(_ELSEWHERE.where(e.group_id.in_(chunk)), {"cluster": cluster})
    }


@dataclass(frozen=True, slots=True)
class ToldElsewhere:
    """An alert of such a teller: its labels, and whether it has ended or a look has missed it in the asked API."""

    teller: str
    fingerprint: str
    starts_at: datetime
    labels: Mapping[str, str]
    group_id: int
    certain: bool


def all_elsewhere(connection: Connection, group_id: int | None, cluster: str) -> list[ToldElsewhere]:
    """What fires by such a teller's word, and all that stands in that group."""
    columns = (e.told_by, e.fingerprint, e.starts_at, e.labels, e.missing_since, e.state, e.group_id)
    statement = select(*columns).where(
        e.told_by != NOBODY,
        e.told_by.not_in(_ASKED),
        or_(e.state == State.FIRING.value, e.group_id == group_id) if group_id else e.state == State.FIRING.value,
        e.member,
    )
    return [
        ToldElsewhere(row.told_by, row.fingerprint, row.starts_at, row.labels, row.group_id, certain=not _is_open(row))
        for row in connection.execute(statement, {"cluster": cluster})
    ]


def _is_open(row: Any) -> bool:
    """Whether the next look may still find out that the asked API holds it."""
    return bool(row.state == State.FIRING.value and row.missing_since is None)

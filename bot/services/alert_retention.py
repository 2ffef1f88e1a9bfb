"""Forgetting about alerts: payloads some weeks after they were applied, groups long after they ended.

Only the statements; `retention` decides when, and takes one chunk a transaction. What is open is never touched.
"""

from datetime import datetime

from sqlalchemy import Connection, delete, select, update

from bot.db.tables import (
    alert_bodies,
    alert_episodes,
    alert_group_keys,
    alert_groups,
    alert_payloads,
    alert_pings,
    alert_silences,
    cards,
    handles,
    oncall_overrides,
    road_messages,
)

PAYLOADS_CHUNK = 200
"""Bodies hold up to 16 MiB each."""
GROUPS_CHUNK = 20


def forget_payloads(connection: Connection, before: datetime) -> int:
    """Delete payloads that were applied before then, a chunk of them; how many."""
    table = alert_payloads.c
    chosen = list(connection.scalars(select(table.id).where(table.applied_at < before).limit(PAYLOADS_CHUNK)))
    connection.execute(delete(alert_bodies).where(alert_bodies.c.payload_id.in_(chosen)))
    return connection.execute(delete(alert_payloads).where(table.id.in_(chosen))).rowcount


def forget_groups(connection: Connection, before: datetime) -> int:
    """Delete groups that ended before then with all that is theirs, a chunk of them; how many."""
    table = alert_groups.c
    ids = list(connection.scalars(select(table.id).where(table.closed_at < before).limit(GROUPS_CHUNK)))
    if not ids:
        return 0
    pings = connection.scalars(select(alert_pings.c.id).where(alert_pings.c.group_id.in_(ids)))
    keys = [*(f"alert:{group_id}" for group_id in ids), *(f"alertping:{ping_id}" for ping_id in pings)]
    connection.execute(delete(handles).where(handles.c.card_key.in_(keys)))
    connection.execute(delete(cards).where(cards.c.key.in_(keys)))
    for of_group in (alert_episodes, alert_pings, alert_group_keys, road_messages):
        connection.execute(delete(of_group).where(of_group.c.group_id.in_(ids)))
    connection.execute(update(alert_silences).where(alert_silences.c.group_id.in_(ids)).values(group_id=None))
    connection.execute(update(alert_groups).where(table.previous_id.in_(ids)).values(previous_id=None))
    return connection.execute(delete(alert_groups).where(table.id.in_(ids))).rowcount


def forget_silences(connection: Connection, before: datetime) -> int:
    """Delete silences that ended before then, and what somebody took over for a while; how many."""
    ended = delete(alert_silences).where(alert_silences.c.ended_at < before)
    over = delete(oncall_overrides).where(oncall_overrides.c.ends_at < before)
    return connection.execute(ended).rowcount + connection.execute(over).rowcount

"""The statements that every operation needs several times, built once: building one costs more than running it."""

from functools import cache
from typing import Any

from sqlalchemy import bindparam, delete, or_, select, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.dml import ReturningUpdate

from bot.db.tables import events, locks, operations
from bot.ops.model import Status

INSERT = sqlite.insert(operations).on_conflict_do_nothing(index_elements=["request_key"]).returning(operations)
BY_ID = select(operations).where(operations.c.id == bindparam("wanted_id"))
BY_KEY = select(operations).where(operations.c.request_key == bindparam("wanted_key"))
STEPS = select(operations.c.steps).where(operations.c.id == bindparam("wanted_id"))
RECORD = events.insert()
TAKE_LOCK = sqlite.insert(locks).on_conflict_do_nothing(index_elements=["resource"]).returning(locks.c.resource)
RELEASE_LOCKS = delete(locks).where(locks.c.operation_id == bindparam("wanted_id"))


@cache
def moving(statuses: tuple[Status, ...], fenced: bool) -> ReturningUpdate[Any]:
    """The compare-and-set: changes the columns given at execution, of row `wanted_id`, if it stands in one of these
    statuses (and, when `fenced`, `wanted_owner` holds its lease).
    """
    conditions = [operations.c.id == bindparam("wanted_id"), or_(*(operations.c.status == s for s in statuses))]
    if fenced:
        conditions.append(operations.c.lease_owner == bindparam("wanted_owner"))
    return update(operations).where(*conditions).returning(operations)

"""The database file: opening, keeping others out, refusing what cannot be used, writing in groups."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, inspect, select, text

from bot.db.cards import Priority, mark_dirty
from bot.db.database import GROUP_MAX, Database
from bot.db.migrations import REVISIONS
from bot.db.opening import LOCK_NAME, FileLock, Holder, InUse, Role, sqlite_engine
from bot.db.tables import UtcDateTime, cards, metadata, schedule_runs
from bot.errors import Unavailable
from bot.metrics import Metrics

KEYS = select(cards.c.key).order_by(cards.c.key)


def add(connection: Connection, key: str) -> None:
    mark_dirty(connection, key, 1, Priority.PROGRESS)


async def keys(database: Database) -> list[str]:
    return await database.read(lambda c: list(c.execute(KEYS).scalars()))


async def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "quarterdeck.sqlite3"
    database = await Database.open(path)
    await database.write(lambda c: add(c, "a"))
    await database.close()
    await database.close()
    database = await Database.open(path)
    try:
        assert await keys(database) == ["a"]
    finally:
        await database.close()


async def test_the_migrations_write_exactly_the_tables(tmp_path: Path) -> None:
    path = tmp_path / "quarterdeck.sqlite3"
    await (await Database.open(path)).close()
    written = create_engine("sqlite://")
    metadata.create_all(written)
    migrated = sqlite_engine(path)

    def shape(connection: Connection) -> dict[str, object]:
        look = inspect(connection)
        return {
            table: (
                [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in look.get_columns(table)],
                look.get_pk_constraint(table),
                sorted(look.get_indexes(table), key=str),
                sorted(look.get_unique_constraints(table), key=str),
                sorted(look.get_foreign_keys(table), key=str),
                sorted(look.get_check_constraints(table), key=str),
            )
            for table in look.get_table_names()
            if table != "alembic_version"
        }

    with written.connect() as one, migrated.connect() as other:
        assert shape(one) == shape(other)
        assert set(shape(one)) == set(metadata.tables)


def test_the_known_revisions_are_those_that_exist() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "bot/db/migrations")
    found = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(found)) == REVISIONS


async def test_an_up_to_date_file_opens_without_alembic(tmp_path: Path) -> None:
    path = tmp_path / "quarterdeck.sqlite3"
    await (await Database.open(path)).close()
    script = (
        "import asyncio, sys; from pathlib import Path; from bot.db.database import Database\n"
        f"async def main(): await (await Database.open(Path({str(path)!r}))).close()\n"
        "asyncio.run(main()); print('alembic' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "False"


# ---- older schemas -------------------------------------------------------------------------------------------------


def old_database(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """A database of the first schema with a row in every table; what stands in it."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "bot/db/migrations")
    engine = sqlite_engine(path)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        with connection.begin():
            command.upgrade(config, "0001")
        with connection.begin():
            for table, row in OLD_ROWS.items():
                marks = ", ".join("?" * len(row))
                connection.exec_driver_sql(
                    f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values())
                )
    engine.dispose()
    return contents(path)


def contents(path: Path, columns: dict[str, list[str]] | None = None) -> dict[str, list[tuple[object, ...]]]:
    engine = sqlite_engine(path)
    with engine.connect() as connection:
        look = inspect(connection)
        found = {}
        for table in sorted(set(look.get_table_names()) - {"alembic_version"}):
            names = [column["name"] for column in look.get_columns(table)]
            if columns is not None:
                if table not in columns:
                    continue  # a later schema's
                names = columns[table]
            rows = connection.exec_driver_sql(f"SELECT {', '.join(names)} FROM {table} ORDER BY 1")
            found[table] = [tuple(row) for row in rows]
    engine.dispose()
    return found


def columns_of(path: Path) -> dict[str, list[str]]:
    engine = sqlite_engine(path)
    with engine.connect() as connection:
        look = inspect(connection)
        found = {table: [c["name"] for c in look.get_columns(table)] for table in look.get_table_names()}
    engine.dispose()
    return found


AT = "2026-08-01 12:00:00.000000"
OLD_ROWS: dict[str, dict[str, object]] = {
    "operations": {
        "id": 7, "kind": "deploy", "environment": "prod", "service": "app", "target": "4f1c2a9", "params": "{}",
        "plan": '{"commit":"4f1c2a9"}', "shown": "{}", "locks": '["prod/app"]', "digest": "d1", "requester": "dev",
        "status": "running", "quorum": 1, "approver_roles": '["sre"]', "policy_reason": "Rule.", "request_key": "key-7",
        "steps": "[]", "checkpoint": '{"run_id":5}', "result": "{}", "created_at": AT,
    },
    "votes": {"operation_id": 7, "person": "sre", "verdict": "approve", "digest": "d1", "reason": "", "at": AT},
    "events": {"operation_id": 7, "name": "vote.approve", "actor": "sre", "text": "yes", "data": "{}", "at": AT},
    "locks": {"resource": "prod/app", "operation_id": 7, "since": AT},
    "cards": {"key": "operation:7", "channel_id": 1, "message_id": 2, "priority": 40},
    "handles": {
        "handle": "h", "operation_id": 7, "card_key": "operation:7", "action": "cancel", "digest": "d1",
        "generation": 0, "guild_id": 1, "channel_id": 1, "created_at": AT,
    },
    "schedule_runs": {"name": "forget", "due_at": AT, "started_at": AT},
}  # fmt: skip
"""A row for every table of the first schema."""


async def test_a_database_of_the_first_schema_is_brought_up_to_date_with_nothing_lost(tmp_path: Path) -> None:
    path = tmp_path / "quarterdeck.sqlite3"
    before = old_database(path)
    columns = columns_of(path)
    assert set(before) == set(OLD_ROWS) and all(before.values())
    await (await Database.open(path)).close()
    assert contents(path, columns) == before
    assert set(columns_of(path)["operations"]) > set(columns["operations"])


async def test_the_file_as_it_was_before_a_migration_is_kept_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "quarterdeck.sqlite3"
    before = old_database(path)
    await (await Database.open(path)).close()
    kept = tmp_path / "quarterdeck-schema-0001.sqlite3"
    assert contents(kept) == before
    await (await Database.open(path)).close()
    assert sorted(entry.name for entry in tmp_path.glob("*-schema-*")) == [kept.name, f"{kept.name}.sha256"]


async def test_a_migration_that_cannot_keep_the_old_file_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "quarterdeck.sqlite3"
    before = old_database(path)
    (tmp_path / "quarterdeck-schema-0001.sqlite3").mkdir()
    with pytest.raises(Unavailable, match="cannot be written over"):
        await Database.open(path)
    assert contents(path) == before


# ---- refusals at the opening ---------------------------------------------------------------------------------------


async def test_a_second_bot_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "quarterdeck.sqlite3"
    script = (
        "import asyncio, sys; from pathlib import Path; from bot.db.database import Database\n"
        "async def main():\n"
        f"    await Database.open(Path({str(path)!r})); print('open', flush=True); sys.stdin.read()\n"
        "asyncio.run(main())"
    )
    first = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "open\n"
        with pytest.raises(Unavailable, match=rf"Another bot \(process {first.pid}\) already uses") as error:
            await Database.open(path)
        assert error.value.service == "database"
        beside = await Database.open(path, exclusive=False)
        await beside.write(lambda c: add(c, "by the command line"))
        await beside.close()
    finally:
        first.kill()
        first.communicate()
    database = await Database.open(path)  # the kernel dropped the dead one's lock
    assert await keys(database) == ["by the command line"]
    await database.close()


async def test_a_lock_that_the_caller_holds_outlives_the_database(tmp_path: Path) -> None:
    path = tmp_path / "state" / "quarterdeck.sqlite3"
    with FileLock.take(path) as lock:
        for _ in range(2):
            database = await Database.open(path, held=lock)
            await database.close()
            with pytest.raises(InUse) as error:
                FileLock.take(path)
            assert error.value.holder == Holder(os.getpid(), Role.BOT)
    FileLock.take(path).release()


async def test_a_newer_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "quarterdeck.sqlite3"
    database = await Database.open(path)
    await database.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")).close())
    await database.close()
    before = path.read_bytes()
    with pytest.raises(Unavailable, match=r"newer Quarterdeck \(schema 9999"):
        await Database.open(path)
    assert path.read_bytes() == before


async def test_another_programs_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "quarterdeck.sqlite3"
    with sqlite_engine(path).begin() as connection:
        connection.execute(text("CREATE TABLE theirs (id INTEGER)"))
    with pytest.raises(Unavailable, match="belongs to another program"):
        await Database.open(path)
    with sqlite_engine(path).connect() as connection:
        assert inspect(connection).get_table_names() == ["theirs"]


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "quarterdeck.sqlite3"
    path.write_text("not a database at all, " * 100)
    with pytest.raises(Unavailable, match="is no database of Quarterdeck"):
        await Database.open(path)


async def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unavailable, match=r"state directory .* cannot be written \(Not a directory\)"):
        await Database.open(tmp_path / "file" / "state" / "quarterdeck.sqlite3")
    (tmp_path / "other").write_text("in the way")
    with pytest.raises(Unavailable, match=r"state directory .* cannot be written"):
        await Database.open(tmp_path / "other" / "quarterdeck.sqlite3")


async def test_a_refused_opening_leaves_the_lock_to_the_next(tmp_path: Path) -> None:
    path = tmp_path / "quarterdeck.sqlite3"
    path.write_text("not a database at all, " * 100)
    with pytest.raises(Unavailable, match="is no database"):
        await Database.open(path)
    path.unlink()
    assert (tmp_path / LOCK_NAME).exists()
    await (await Database.open(path)).close()


async def test_a_closed_database_says_so(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "quarterdeck.sqlite3")
    await database.close()
    with pytest.raises(Unavailable, match="shutting down"):
        await database.write(lambda c: None)


# ---- writing ------------------------------------------------------------------------------------------------------


async def test_writes_that_wait_share_a_commit_and_yet_fail_alone(tmp_path: Path) -> None:
    metrics = Metrics()
    database = await Database.open(tmp_path / "quarterdeck.sqlite3", metrics=metrics)

    def work(number: int, connection: Connection) -> int:
        add(connection, f"card-{number:03}")
        if number % 3 == 0:
            raise LookupError(str(number))
        return number

    writes = [database.write(lambda c, n=number: work(n, c)) for number in range(3 * GROUP_MAX)]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    try:
        for number, outcome in enumerate(outcomes):
            assert isinstance(outcome, LookupError) if number % 3 == 0 else outcome == number
        assert await keys(database) == [f"card-{n:03}" for n in range(3 * GROUP_MAX) if n % 3]
        commits = metrics.registry.get_sample_value("quarterdeck_database_commit_writes_count")
        assert commits is not None
        assert commits < GROUP_MAX
    finally:
        await database.close()


async def test_a_broken_statement_in_a_group_spoils_only_its_own_write(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "quarterdeck.sqlite3")

    def broken(connection: Connection) -> None:
        add(connection, "lost")
        connection.execute(text("SELECT nonsense FROM nowhere"))

    writes = [database.write(lambda c, n=n: add(c, f"kept-{n}")) for n in range(5)]
    outcomes = await asyncio.gather(*writes, database.write(broken), return_exceptions=True)
    try:
        assert outcomes[:5] == [None] * 5
        assert "nowhere" in str(outcomes[5])
        assert await keys(database) == [f"kept-{n}" for n in range(5)]
    finally:
        await database.close()


async def test_a_full_disk_spoils_only_what_does_not_fit(tmp_path: Path) -> None:
    """A real SQLITE_FULL, by a limit of pages: SQLite rolls the whole transaction back by itself then."""
    database = await Database.open(tmp_path / "quarterdeck.sqlite3")

    def limit(connection: Connection, pages: int) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    def big(connection: Connection, key: str) -> None:
        connection.execute(cards.insert().values(key=key, channel_id=1, priority=1, nonce="x" * 500_000))

    pages = await database.write(lambda c: int(c.exec_driver_sql("PRAGMA page_count").scalar_one()))
    await database.write(lambda c: limit(c, pages + 2))
    outcomes = await asyncio.gather(
        database.write(lambda c: add(c, "small-1")),
        database.write(lambda c: big(c, "big")),
        database.write(lambda c: add(c, "small-2")),
        return_exceptions=True,
    )
    try:
        assert (outcomes[0], outcomes[2]) == (None, None)
        assert isinstance(outcomes[1], Unavailable)
        assert "The disk is full" in str(outcomes[1])
        assert await keys(database) == ["small-1", "small-2"]
        await database.write(lambda c: limit(c, 1 << 30))
        await database.write(lambda c: big(c, "big"))
    finally:
        await database.close()


async def test_a_reader_can_change_nothing(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "quarterdeck.sqlite3")
    try:
        with pytest.raises(Unavailable, match="cannot be written"):
            await database.read(lambda c: add(c, "sneaked in"))
        assert await keys(database) == []
    finally:
        await database.close()


async def test_a_write_whose_caller_went_away_is_carried_out(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "quarterdeck.sqlite3")
    task = asyncio.create_task(database.write(lambda c: add(c, "a")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await database.write(lambda c: None)
    try:
        assert await keys(database) == ["a"]
    finally:
        await database.close()


async def test_every_write_is_on_disk_before_it_returns(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "quarterdeck.sqlite3")
    try:
        for setting, wanted in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
            value = await database.write(lambda c, s=setting: c.exec_driver_sql(f"PRAGMA {s}").scalar_one())
            assert value == wanted
    finally:
        await database.close()


# ---- cards and times ----------------------------------------------------------------------------------------------


async def test_marking_a_card_dirty_counts_up_and_keeps_its_channel(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "quarterdeck.sqlite3")
    try:
        await database.write(lambda c: mark_dirty(c, "operation:1", 7, Priority.APPROVAL))
        await database.write(lambda c: mark_dirty(c, "operation:1", 8, Priority.OUTCOME))
        row = await database.read(lambda c: c.execute(select(cards)).mappings().one())
        assert (row["channel_id"], row["wanted"], row["shown"], row["priority"]) == (7, 2, 0, Priority.OUTCOME)
    finally:
        await database.close()


async def test_times_without_a_zone_are_refused_and_others_come_back_as_utc(tmp_path: Path) -> None:
    from datetime import UTC, datetime, timedelta, timezone

    database = await Database.open(tmp_path / "quarterdeck.sqlite3")
    at = datetime(2026, 8, 1, 14, 0, tzinfo=timezone(timedelta(hours=2)))
    try:
        insert = schedule_runs.insert().values(name="n", due_at=at, started_at=at)
        await database.write(lambda c: c.execute(insert).close())
        read = await database.read(lambda c: c.execute(select(schedule_runs.c.due_at)).scalar_one())
        assert read == at
        assert read.tzinfo is UTC
        with pytest.raises(ValueError, match="without a zone"):
            UtcDateTime().process_bind_param(datetime(2026, 8, 1), None)  # type: ignore[arg-type]  # noqa: DTZ001
    finally:
        await database.close()

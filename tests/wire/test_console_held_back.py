"""A rollback typed while a living bot holds an operation back: it waits for what becomes of that, and then asks."""

import asyncio

from sqlalchemy import update

from bot.console.exits import Exit
from bot.db.opening import FileLock
from bot.db.tables import locks, operations
from bot.groundwork import Core
from bot.ops.model import Operation, Status
from tests.unit.engine_room import Deploy
from tests.wire.test_console_carrying import asked, opened, typed


async def stands(core: Core, operation: Operation, **values: object) -> None:
    """Write what a bot beside us would."""
    changed = update(operations).where(operations.c.id == operation.id).values(**values)
    await core.database.write(lambda connection: connection.execute(changed).close())


async def held_back(core: Core) -> Operation:
    core.registry.add(Deploy(kind="rollback"))
    held = await asked(core, "app")
    since = core.store.now()
    await stands(core, held, status=Status.RUNNING, started_at=since, startable_since=since, waiting_for="a check")
    lock = locks.insert().values(resource="dev/app", operation_id=held.id, since=since)
    await core.database.write(lambda connection: connection.execute(lock).close())
    return held


async def test_a_rollback_waits_for_what_the_bot_holds_back_and_a_deploy_queues_up(tmp_path):
    async with opened(tmp_path) as (core, _):
        held = await held_back(core)
        with FileLock.take(core.settings.database_file):
            code, said = await typed(core, "rollback", "app", "dev", "--yes", "--timeout", "1")
            assert code is Exit.NOT_OVER
            assert (
                f"{held.short_id} (deploy of app to dev, ccccccc) is held back: first it is brought to its end" in said
            )
            assert "so nothing was asked for" in said
            code, said = await typed(core, "deploy", "app", "dev", "--yes", "--no-wait")
            assert code is Exit.DONE
            assert "held back" not in said


async def test_once_that_is_interrupted_the_rollback_is_asked_for(tmp_path):
    async with opened(tmp_path) as (core, _):
        held = await held_back(core)
        with FileLock.take(core.settings.database_file):
            typing = asyncio.create_task(typed(core, "rollback", "app", "dev", "--yes", "--no-wait"))
            await asyncio.sleep(0.5)
            assert not typing.done()
            await stands(core, held, status=Status.INTERRUPTED, startable_since=None, waiting_for="")
            async with asyncio.timeout(20):
                code, said = await typing
            assert code is Exit.DONE
            assert f"#{held.id + 1} is handed over to the bot" in said


async def test_what_runs_as_it_should_is_not_waited_for(tmp_path):
    async with opened(tmp_path) as (core, _):
        held = await held_back(core)
        await stands(core, held, startable_since=None)
        with FileLock.take(core.settings.database_file):
            code, said = await typed(core, "rollback", "app", "dev", "--yes", "--no-wait")
        assert code is Exit.DONE
        assert "held back" not in said

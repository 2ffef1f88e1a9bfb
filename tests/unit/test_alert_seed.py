"""Alerts of the past: the sandbox tells them, the bot loads them once, and they are over."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.alert_settings import AlertSettings
from bot.alerts.seed import load_seed
from bot.alerts.store import AlertStore, GroupFilter
from bot.db.database import Database
from bot.errors import Misconfigured
from bot.sandbox.monitoring import history

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "alerts.jsonl"
    path.write_text(history.dump(history.tell(NOW)), encoding="utf-8")
    return path


def test_the_same_past_is_told_in_every_world_and_today_begins_quiet() -> None:
    told = history.tell(NOW)
    assert told == history.tell(NOW)
    ends = [datetime.fromisoformat(one["ends_at"]) for record in told for one in record["episodes"]]
    assert max(ends) < NOW
    assert min(ends) > NOW - timedelta(days=31)


async def test_the_past_is_loaded_once_counts_and_is_over(tmp_path: Path, file: Path) -> None:
    database = await Database.open(tmp_path / "quarterdeck.sqlite")
    try:
        groups = len(history.tell(NOW))
        assert (await load_seed(database, file), await load_seed(database, file)) == (groups, 0)
        store = AlertStore(database, settings=AlertSettings(), channels={"alerts": 1, "ops": 2})
        assert await store.groups(GroupFilter(state="open")) == ()
        assert await store.firing_episodes() == ()
        told = await store.statistics(NOW - timedelta(days=31), NOW)
        assert told.episodes == sum(len(record["episodes"]) for record in history.tell(NOW))
        assert told.names[0].name == "HighCPUUsage"
        assert told.flaps == history.FLAPPING.times - 1
        assert told.pings == 0
        assert told.mtta_s is not None
    finally:
        await database.close()


@pytest.mark.parametrize("fault", ['{"name": "x"}', "no JSON", '{"name": "x", "unheard": 1}'])
async def test_a_line_that_is_not_what_it_should_be_loads_nothing(tmp_path: Path, file: Path, fault: str) -> None:
    file.write_text(file.read_text(encoding="utf-8") + fault + "\n", encoding="utf-8")
    database = await Database.open(tmp_path / "quarterdeck.sqlite")
    try:
        with pytest.raises(Misconfigured, match="Nothing was loaded"):
            await load_seed(database, file)
        store = AlertStore(database, settings=AlertSettings(), channels={"alerts": 1, "ops": 2})
        assert await store.groups(GroupFilter(state="closed")) == ()
    finally:
        await database.close()

"""For wire tests that judge the comparison with others' descriptions themselves."""

import pytest

from bot.sandbox.validation.documents import missing
from bot.sandbox.validation.inspector import Inspector
from tests.wire import discord_world, sandbox_github


@pytest.fixture
def own_inspector(monkeypatch: pytest.MonkeyPatch) -> Inspector:
    """The inspector of this test's parts in place of the run's: what it finds is for the test to judge."""
    if sentence := missing():
        pytest.skip(sentence)
    found = Inspector()
    for room in (discord_world, sandbox_github):
        monkeypatch.setattr(room, "inspector", lambda: found)
    return found

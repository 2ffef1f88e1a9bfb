"""All crash cases that were selected, run side by side while the tests wait for theirs."""

from collections.abc import AsyncIterator

import hypothesis  # noqa: F401 - else its plugin imports it at the very end of a long session, where Python 3.11 may trip
import pytest

from tests.crash.side_by_side import SideBySide


@pytest.fixture(scope="session")
async def crashes(request: pytest.FixtureRequest) -> AsyncIterator[SideBySide]:
    """The results of every selected case, in the order of the tests."""
    chosen = [getattr(item, "callspec", None) for item in request.session.items]
    cases = [found.params["case"] for found in chosen if found is not None and "case" in found.params]
    async with SideBySide(cases) as crashes:
        yield crashes

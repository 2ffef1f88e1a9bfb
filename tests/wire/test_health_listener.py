"""The private listener over a real socket: alive from the first moment, ready only when everything is."""

from collections.abc import AsyncIterator, Mapping

import aiohttp
import pytest

from bot.errors import Unavailable
from bot.inbound.health import HealthListener
from bot.metrics import Metrics


@pytest.fixture
async def listener() -> AsyncIterator[HealthListener]:
    listener = HealthListener(port=0, metrics=Metrics())
    await listener.start()
    yield listener
    await listener.close()


async def get(listener: HealthListener, path: str) -> tuple[int, str]:
    url = f"http://127.0.0.1:{listener.port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def test_it_is_alive_and_not_ready_while_the_house_opens(listener: HealthListener) -> None:
    assert (await get(listener, "/healthz"))[0] == 200
    status, text = await get(listener, "/readyz")
    assert status == 503
    assert '"ready": false' in text


@pytest.mark.parametrize(
    ("checks", "status"),
    [({"discord": True, "board": True}, 200), ({"discord": False, "board": True}, 503)],
)
async def test_it_is_ready_when_every_check_is(
    listener: HealthListener, checks: Mapping[str, bool], status: int
) -> None:
    listener.checks = lambda: checks
    assert (await get(listener, "/readyz"))[0] == status


async def test_the_metrics_are_in_prometheus_form(listener: HealthListener) -> None:
    status, text = await get(listener, "/metrics")
    assert status == 200
    assert "# HELP quarterdeck_cards_dirty" in text


async def test_a_taken_port_is_one_clear_sentence(listener: HealthListener) -> None:
    with pytest.raises(Unavailable, match=rf"^The port {listener.port} on 127\.0\.0\.1 is taken"):
        await HealthListener(port=listener.port, metrics=Metrics()).start()

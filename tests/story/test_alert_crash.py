"""The whole bot, killed with SIGKILL under a load of webhooks: what it answered 200 stands on a card afterwards."""

import asyncio
import random
import re
import tomllib

from bot.console.environment import read
from tests.alert_senders import Senders
from tests.story.world_driver import World

KILLS = 6
SEED = 20261124
GROUPS = 24
ID = re.compile(r"storm-\d{5}")


async def test_every_payload_that_was_answered_200_is_on_a_card() -> None:
    async with World() as world:
        config = tomllib.loads((world.home / "quarterdeck.toml").read_text(encoding="utf-8"))
        url = f"http://127.0.0.1:{config['alerts']['listen_port']}/webhooks/alertmanager"
        token = read(world.home / "quarterdeck.env")["QUARTERDECK_ALERTMANAGER_TOKEN"]
        senders, chance = Senders(token, groups=GROUPS, pause_s=0.05), random.Random(SEED)
        for _ in range(KILLS):
            load = asyncio.create_task(senders.until_it_dies(url, senders=4))
            await asyncio.sleep(chance.uniform(0.05, 1.5))
            await world.bot("kill")
            await load
            await world.bot("start")
            await world.wait_ready(timeout_s=45)
        shown: set[str] = set()

        async def all_shown() -> bool:
            shown.clear()
            for message in await world.every_message(config["alerts"]["channel"]):
                shown.update(ID.findall(message.text))
            return senders.taken <= shown

        await world.until("every alert on a card", all_shown, timeout_s=60)
        print(
            f"{KILLS} kills: {senders.sent} payloads sent, {len(senders.taken)} answered 200, "
            f"{len(senders.taken & shown)} of them on a card, {len(shown - senders.taken)} more though nobody heard so"
        )
        assert len(senders.taken) > KILLS

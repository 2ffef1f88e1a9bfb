"""A process that takes payloads and applies them until it is killed; it says each one that it has taken.

Run as `python -m tests.unit.inbox_process HOME FIRST`: the payloads are numbered from FIRST on.
"""

import asyncio
import sys
from itertools import count
from pathlib import Path

from bot.alerts.intake import Intake
from tests.unit.inbox_room import alert, body, inbox_room

GROUPS = 7


def numbered(number: int) -> bytes:
    """Each group gets a new alert, then the same bytes once more."""
    group = number % GROUPS
    told = number // GROUPS // 2
    return body(*(alert(f"i-{one}", name=f"Alert{group}") for one in range(told + 1)), key=f"group-{group}")


async def main(home: Path, first: int) -> None:
    async with inbox_room(home) as room:
        intake = Intake(room.store, tick_s=0.01)
        await intake.start()
        for number in count(first):
            await room.take(numbered(number))
            intake.wake()
            print(number, flush=True)
            await asyncio.sleep(0.002)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))

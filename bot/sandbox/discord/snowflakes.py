"""Discord's ids: 64 bits that hold the time of their making, ever rising. Sorting and pagination rest on that."""

import time

DISCORD_EPOCH_MS = 1_420_070_400_000
LARGEST = 2**63 - 1


class Snowflakes:
    """Gives ids by the machine's time, never the same and never a smaller one, also when that clock is set back."""

    def __init__(self, *, floor: int = 0) -> None:
        self._last = floor

    def next(self) -> int:
        self._last = max((int(time.time() * 1000) - DISCORD_EPOCH_MS) << 22, self._last + 1)
        return self._last


def made_at_s(snowflake: int) -> float:
    """When the id was made, in Unix seconds."""
    return ((snowflake >> 22) + DISCORD_EPOCH_MS) / 1000


def parsed(text: object) -> int | None:
    """The id that a text or a number stands for; None when it is none."""
    if isinstance(text, bool):
        return None
    if isinstance(text, int):
        return text if 0 <= text <= LARGEST else None
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= LARGEST:
        return int(text)
    return None

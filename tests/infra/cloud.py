"""An AWS account that is empty at first: the sandbox's moto behind the sandbox's door, and clients for what Terraform
does not do. It lives in a thread of its own, so that tests may wait for Terraform meanwhile.
"""

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from bot.sandbox.aws.child import MotoChild
from bot.sandbox.aws.door import Door
from bot.sandbox.faults import Faults
from bot.sandbox.ledger import Ledger
from bot.sandbox.wire import Guard
from tests.infra.terraform import ACCESS_KEY, REGION, SECRET_KEY

START_S = 90.0
ACCOUNT_ID = "123456789012"


class Account:
    """Started by `open`, ended by `close`. Only the key of `terraform.environment` may ask, and for anything."""

    def __init__(self, directory: Path) -> None:
        self._child = MotoChild(directory=directory)
        self._faults = Faults()
        self._door = Door(ledger=Ledger(), faults=self._faults, guard=Guard(), keys={ACCESS_KEY: "demo"})
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="account", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._door.port}"

    def open(self) -> None:
        self._thread.start()
        self._wait(self._open())

    def close(self) -> None:
        self._wait(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def slow(self, *, match: str, seconds: float) -> int:
        """From now on such requests wait; returns the number with which `quick` ends that."""
        return self._faults.add("aws", "latency", match=match, seconds=seconds).id

    def quick(self, number: int) -> None:
        self._faults.remove(number)

    def client(self, service: str, region: str = REGION) -> Any:
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(retries={"total_max_attempts": 1}),
        )

    async def _open(self) -> None:
        await self._door.start()
        await self._child.start({})
        header, caller = self._child.secret_header, self._child.caller_header
        self._door.open_to(self._child.url, secret_header=header, caller_header=caller)

    async def _close(self) -> None:
        await self._child.close()
        await self._door.close()

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(START_S)

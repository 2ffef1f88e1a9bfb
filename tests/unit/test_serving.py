"""The process around the house: it ends in time after SIGTERM, also when something in it never lets go."""

import os
import signal
import subprocess
import sys
from pathlib import Path

HANGS = """
import asyncio, logging
from bot import serving

logging.basicConfig()
serving.END_WITHIN_S = 0.5

async def main():
    serving._Signals(asyncio.Event()).listen()
    print("up", flush=True)
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

asyncio.run(main())
"""


def test_a_house_that_never_closes_does_not_keep_the_process_from_ending() -> None:
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, "-c", HANGS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert "did not close" in said

"""The inbox that one would write in ten minutes: a bare aiohttp handler with one SQLite commit a request.

Usage: `python -m tests.bench.bare_inbox FOLDER`. It checks the token, stores the body as durably as the bot does (WAL,
synchronous FULL), and neither reads nor applies it: the yardstick for what a commit a request costs.
"""

import asyncio
import json
import sqlite3
import sys
from pathlib import Path

from aiohttp import web

TOKEN = "a-token-of-the-bench"


def application(folder: Path) -> web.Application:
    database = sqlite3.connect(folder / "bare.sqlite", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE payloads (id INTEGER PRIMARY KEY, body BLOB NOT NULL)")

    async def take(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401)
        body = await request.read()
        database.execute("INSERT INTO payloads (body) VALUES (?)", (body,))
        return web.Response()

    made = web.Application(client_max_size=16 * 2**20)
    made.router.add_post("/webhooks/alertmanager", take)
    return made


async def serve(folder: Path) -> None:
    runner = web.AppRunner(application(folder), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))

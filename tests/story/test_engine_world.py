"""The whole way once more, with containers of a real engine instead of the host's stand-in."""

import os
import shutil

import pytest

from tests.story.steps import asked, ended, live_commit, operation_in
from tests.story.world_driver import World

NEEDED = ("podman", "runc", "docker-registry", "mmdebstrap")
MISSING = [name for name in NEEDED if shutil.which(name) is None] + ([] if os.geteuid() == 0 else ["root"])
START_S = 400.0
"""The first start makes the base image and builds two versions from their Dockerfile."""
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"a real engine needs {', '.join(MISSING)}"),
    pytest.mark.timeout(900),
]


async def test_a_deploy_and_its_rollback_run_in_real_containers():
    async with World(speed=8.0, environ={"ENGINE": "podman"}, start_s=START_S) as world:
        host = await world.part("host")
        assert (host["kind"], "podman" in host["detail"]) == ("real", True)
        before = await live_commit(world, "dev")
        done = await ended(world, await asked(world, "dev", "dev"), timeout_s=180)
        assert "succeeded" in done.text
        after = await live_commit(world, "dev")
        assert after != before
        reply = await world.ask("dev", "rollback", service="app", environment="dev")
        done = await ended(world, operation_in(reply), timeout_s=180)
        assert "succeeded" in done.text
        assert await live_commit(world, "dev") == before

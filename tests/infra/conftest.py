"""The infrastructure's tests: real Terraform on real stand-ins. Steps print their seconds; drills are written down."""

import fcntl
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.infra import terraform
from tests.infra.estate import CONTROL, DEV, IN_SECOND_REGION, PROD, SECOND_REGION, Applied, Estate, Made
from tests.infra.terraform import REGION, Stack, Started
from tests.wire.sandbox_cloud import Cloud

TIMES = Path(__file__).resolve().parents[2] / ".cache" / "infra-times.json"
ESTATE_S = 600


class Stopwatch:
    """The seconds of each step. `drill` names those that the recovery table of infra/README.md shows."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, float]] = []
        self.beside: list[tuple[str, float]] = []
        self.drills: dict[str, float] = {}

    @contextmanager
    def step(self, name: str, *, drill: str = "") -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            took = time.monotonic() - began
            self.steps.append((name, took))
            if drill:
                self.drills[drill] = round(took, 1)

    def note(self, name: str, took: float, *, drill: str = "") -> None:
        """Show the seconds of what went on beside other steps; the sum has only what was waited for."""
        self.beside.append((name, took))
        if drill:
            self.drills[drill] = round(took, 1)


WATCH = pytest.StashKey[Stopwatch]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[WATCH] = Stopwatch()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whichever test asks first for a part of the estate waits until it stands: some minutes on a busy machine."""
    for item in items:
        if "estate" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(ESTATE_S))


@pytest.fixture(scope="session")
def stopwatch(pytestconfig: pytest.Config) -> Stopwatch:
    """`with stopwatch.step("dev apply"): ...`; `drill="instance lost"` also writes it to .cache/infra-times.json."""
    return pytestconfig.stash[WATCH]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    watch = terminalreporter.config.stash[WATCH]
    if watch.drills:
        _write_down(watch.drills)
    if not watch.steps:
        return
    terminalreporter.section("the infrastructure's steps, in seconds")
    for name, took in watch.steps:
        terminalreporter.write_line(f"{took:7.1f}  {name}")
    terminalreporter.write_line(f"{sum(took for _, took in watch.steps):7.1f}  together")
    for name, took in watch.beside:
        terminalreporter.write_line(f"{took:7.1f}  beside these: {name}")


def _write_down(drills: dict[str, float]) -> None:
    """Add them to those that are known; the lanes of these tests may end at the same moment."""
    TIMES.parent.mkdir(exist_ok=True)
    with TIMES.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = json.loads(TIMES.read_text()) if TIMES.is_file() else {}
        TIMES.write_text(json.dumps({**known, **drills}, indent=2, sort_keys=True) + "\n")


@pytest.fixture(scope="session")
def estate(tmp_path_factory: pytest.TempPathFactory, stopwatch: Stopwatch) -> Iterator[Estate]:
    """An empty account; the bucket of states is being made in it while the first tests run."""
    terraform.need()
    estate = Estate(tmp_path_factory.mktemp("estate"))
    try:
        with stopwatch.step("the account, empty"):
            estate.open()
        yield estate
    finally:
        estate.close()


@pytest.fixture(scope="session")
def bootstrapped(estate: Estate, stopwatch: Stopwatch) -> Made:
    """What the first `make -C infra bootstrap` said."""
    with stopwatch.step("bootstrap: what is left to wait for"):
        made = estate.bootstrapped().ok()
    stopwatch.note("bootstrap: from begin to end", made.seconds)
    return made


@pytest.fixture(scope="session")
def control_begun(estate: Estate, bootstrapped: Made) -> tuple[Stack, Started, Started]:
    """The root control while it is applied, in both regions: its buckets' lifecycles take a minute, too."""
    backend = estate.backend()
    state = {"state_bucket_name": backend["bucket"], "state_kms_key_arn": backend["kms_key_id"]}
    estate.write_variables("control", {**CONTROL, **state})
    first, second = estate.stack("control"), estate.stack("control", SECOND_REGION, **IN_SECOND_REGION)
    return first, estate.begin_apply(first), estate.begin_apply(second)


@pytest.fixture(scope="session")
def control(estate: Estate, control_begun: tuple[Stack, Started, Started], stopwatch: Stopwatch) -> Applied:
    """The root control, applied, also in the second region."""
    stack, begun, second = control_begun
    with stopwatch.step("control: what is left to wait for"):
        run = begun.end().ok()
        second.end().ok()
    stopwatch.note("control: apply, from begin to end", run.seconds)
    for region in (REGION, SECOND_REGION):
        estate.publish_image(region)
    return Applied(stack, run)


@pytest.fixture(scope="session")
def dev(estate: Estate, prod_begun: tuple[Stack, Started], stopwatch: Stopwatch) -> Applied:
    """The root dev, applied beside prod, whose load balancer takes a minute."""
    estate.write_variables("dev", DEV)
    stack = estate.stack("dev")
    with stopwatch.step("dev: apply"):
        run = stack.apply().ok()
    return Applied(stack, run)


@pytest.fixture(scope="session")
def prod_begun(estate: Estate, control: Applied) -> tuple[Stack, Started]:
    """The root prod while it is applied."""
    estate.write_variables("prod", {**PROD, "certificate_arn": estate.certificate(), "failover": estate.failover()})
    stack = estate.stack("prod")
    return stack, estate.begin_apply(stack)


@pytest.fixture(scope="session")
def prod(prod_begun: tuple[Stack, Started], stopwatch: Stopwatch) -> Applied:
    """The root prod, applied."""
    stack, begun = prod_begun
    with stopwatch.step("prod: what is left to wait for"):
        run = begun.end().ok()
    stopwatch.note("prod: apply, from begin to end", run.seconds)
    return Applied(stack, run)


@pytest.fixture(scope="session")
async def host_cloud(tmp_path_factory: pytest.TempPathFactory, stopwatch: Stopwatch) -> AsyncIterator[Cloud]:
    """The parts around hosts on a real container engine: images, a registry, Run Command."""
    cloud = Cloud(tmp_path_factory.mktemp("hosts"), engine="podman")
    try:
        with stopwatch.step("host: engine, registry and moto started"):
            await cloud.start()
        yield cloud
    finally:
        await cloud.host.remove()
        await cloud.close()

"""The overview: what can be seen is told as it is, what cannot is said, and no figure is made up."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.alert_settings import FigureSettings
from bot.alerts.model import FiringCount
from bot.clients.github import GithubClient
from bot.clients.http import HttpClient
from bot.clients.prometheus import Answer, Series
from bot.errors import Refused
from bot.ops.model import Operation, Status
from bot.ops.store import Lock
from bot.policy import Action, Actor
from bot.services import status as status_module
from bot.services.changes import Change
from bot.services.outside import GITHUB, Outside, State
from bot.services.status import EnvironmentStatus, Overview, Sources, StatusService
from bot.services.vitals import Vitals
from bot.settings import PolicySettings
from bot.ui.overview import overview_text
from tests.wire.deploy_room import TOKEN, Place, operation
from tests.wire.deploy_room import opened as opened_place
from tests.wire.sandbox_github import GithubWorld, make_source, opened

SRE = Actor("sre", 3, frozenset({"sre"}))
SINCE = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)


class Core:
    """The core's answers, as the test gives them."""

    def __init__(self) -> None:
        self.going_on: list[Operation] = []
        self.held: list[Lock] = []

    async def operations(
        self, *, statuses: Sequence[Status] | None = None, environment: str = "", limit: int = 25
    ) -> list[Operation]:
        return [o for o in self.going_on if o.environment == environment and o.status in (statuses or ())]

    async def waiting_for(self, actor: Actor) -> list[Operation]:
        return [o for o in self.going_on if o.status is Status.PENDING and actor.name == "sre"]

    async def locks(self) -> list[Lock]:
        return self.held


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GithubWorld]:
    home: Path = tmp_path_factory.mktemp("status")
    async with opened(home / "github", make_source(home / "source")) as opened_world:
        yield opened_world


@pytest.fixture
async def place(world: GithubWorld, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    async with opened_place(monkeypatch, world=world) as place:
        sha = await world.part.head("main~2")
        place.aws.serving = {"image": "i", "commit": sha}
        place.past.deploys = [operation(id=5, requester="dev", ended_at=SINCE, result={"commit": sha, "image": "i"})]
        yield place


def service_of(
    place: Place, core: Core, *, github: GithubClient | None = None, outside: Outside | None = None, **beside: Any
) -> StatusService:
    sources = Sources(outside or Outside(place.settings.environments), **beside)
    return StatusService(
        place.settings, catalog=place.catalog, core=core, versions=place.versions,
        github=github or place.github_client, aws=place.aws_client, sources=sources,
    )  # fmt: skip


@asynccontextmanager
async def heard_github(place: Place, world: GithubWorld, outside: Outside) -> AsyncIterator[GithubClient]:
    """A client of the same GitHub that tells the outside what it hears."""
    http = HttpClient()
    client = GithubClient(
        repository=place.settings.github.repository, api_url=world.part.api_url, token=TOKEN, http=http,
        hearing=outside,
    )  # fmt: skip
    yield client
    client.close()
    await http.close()


async def overview(place: Place, core: Core | None = None, **filters: str) -> Overview:
    return await service_of(place, core or Core()).overview(SRE, **filters)


def of(found: Overview, name: str) -> EnvironmentStatus:
    return next(environment for environment in found.environments if environment.name == name)


async def test_it_says_which_version_runs_since_when_by_whom_and_how_far_behind(place: Place) -> None:
    found = await overview(place)
    (app,) = of(found, "dev").services
    assert (app.running.known, app.running.healthy, app.running.since, app.running.by) == ("live", True, SINCE, "dev")
    assert app.behind is not None
    assert (app.behind.commits, app.behind.of) == (2, "main")
    (app,) = of(found, "prod").services
    assert app.behind is not None
    assert (app.behind.commits, app.behind.of) == (0, "dev")
    assert found.troubles == ()
    assert of(found, "dev").agent_heard_at is not None


async def test_what_was_deployed_by_hand_is_nobodys_and_has_no_date(world: GithubWorld, place: Place) -> None:
    place.aws.serving = {"image": "x", "commit": await world.part.head("main")}
    (app,) = of(await overview(place), "dev").services
    assert (app.running.by_hand, app.running.by, app.running.since, app.running.image) == (True, "", None, "")


async def test_a_service_that_does_not_answer_is_told_from_the_record_and_not_as_healthy(place: Place) -> None:
    place.site.answer_with = lambda: None
    (app,) = of(await overview(place), "dev").services
    assert (app.running.known, app.running.healthy, app.running.by_hand) == ("recorded", False, False)


async def test_a_service_of_which_nothing_is_known_has_no_distance(place: Place) -> None:
    place.site.answer_with, place.past.deploys = lambda: None, []
    (app,) = of(await overview(place), "dev").services
    assert (app.running.known, app.running.commit, app.behind) == ("unknown", "", None)


async def test_a_github_that_is_away_costs_the_distance_and_nothing_else(world: GithubWorld, place: Place) -> None:
    world.faults.add(part="github", kind="refuse")
    try:
        found = await overview(place)
    finally:
        world.faults.clear()
    (app,) = of(found, "dev").services
    assert app.running.known == "live"
    assert app.behind is not None
    assert app.behind.commits is None
    assert len(found.troubles) == 1
    assert "GitHub" in found.troubles[0]


async def test_what_github_said_before_it_went_away_is_shown_as_old(world: GithubWorld, place: Place) -> None:
    outside = Outside(place.settings.environments)
    async with heard_github(place, world, outside) as github:
        service = service_of(place, Core(), github=github, outside=outside)
        first = await service.overview(SRE)
        world.faults.add(part="github", kind="refuse")
        try:
            found = await service.overview(SRE)
        finally:
            world.faults.clear()
    (before,), (app,) = of(first, "dev").services, of(found, "dev").services
    assert (before.behind, app.behind) == (app.behind, before.behind)
    assert app.behind is not None
    assert app.behind.seen_at is not None
    assert first.as_of < app.behind.seen_at < found.as_of
    (down,) = [standing for standing in found.outside if standing.down]
    assert (down.part, down.state) == (GITHUB, State.STALE)
    assert found.troubles == (), "the part's own sentence says it all"
    text = overview_text(found, 4000)
    assert "GitHub DOWN" in text
    assert "2 behind main (*stale*, seen <t:" in text


async def test_a_service_that_falls_silent_is_shown_as_it_was_seen_last_also_what_was_put_there_by_hand(
    world: GithubWorld, place: Place
) -> None:
    by_hand = await world.part.head("main")
    place.aws.serving = {"image": "x", "commit": by_hand}
    service = service_of(place, Core())
    (before,) = of(await service.overview(SRE), "dev").services
    place.site.answer_with = lambda: None
    found = await service.overview(SRE)
    (app,) = of(found, "dev").services
    assert (app.running.commit, app.running.known, app.running.by_hand) == (by_hand, "recorded", True)
    assert before.seen_at is not None
    assert app.seen_at is not None
    assert before.seen_at <= app.seen_at < found.as_of
    assert not app.running.healthy
    assert f"`{by_hand[:7]}` *stale*, seen <t:" in overview_text(found, 4000)


async def test_a_newer_deploy_of_ours_counts_more_than_an_older_sight(place: Place) -> None:
    service = service_of(place, Core())
    await service.overview(SRE)
    ended = datetime.now(UTC) + timedelta(seconds=1)
    place.past.deploys = [operation(id=6, requester="dev", ended_at=ended, result={"commit": "c" * 40, "image": "i"})]
    place.site.answer_with = lambda: None
    (app,) = of(await service.overview(SRE), "dev").services
    assert (app.running.commit, app.seen_at) == ("c" * 40, ended)


async def test_the_word_of_an_aws_that_is_away_is_shown_with_its_age(place: Place) -> None:
    service = service_of(place, Core())
    first = of(await service.overview(SRE), "dev")
    place.aws.fault = lambda _action: "InternalServerError"
    found = await service.overview(SRE)
    dev = of(found, "dev")
    assert (dev.agent_heard_at, dev.agent_asked_at) == (first.agent_heard_at, first.agent_asked_at)
    assert "as AWS said <t:" in overview_text(found, 4000)


async def test_a_part_that_hangs_costs_its_own_figures_and_a_few_seconds(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_module, "PATIENCE_S", 0.2)
    service = service_of(place, Core())
    release = asyncio.Event()

    async def hang(*_: object) -> None:
        await release.wait()

    monkeypatch.setattr(place.github_client, "branch_head", hang)
    found = await service.overview(SRE)
    (app,) = of(found, "dev").services
    assert app.running.known == "live"
    assert "GitHub did not answer within 0 s: its figures are older." in found.troubles


async def test_a_host_that_is_not_heard_and_an_aws_that_is_away_are_different_things(place: Place) -> None:
    place.aws.heard = False
    found = await overview(place)
    assert (of(found, "dev").agent_heard_at, found.troubles) == (None, ())
    place.aws.fault = lambda _action: "AccessDeniedException"
    found = await overview(place)
    assert of(found, "dev").agent_heard_at is None
    assert "AccessDenied" in found.troubles[0]


async def test_locks_and_what_goes_on_stand_at_their_own_environment(place: Place) -> None:
    core = Core()
    core.going_on = [
        operation(id=8, status=Status.RUNNING),
        operation(id=9, environment="prod", status=Status.PENDING),
        operation(id=7, status=Status.SUCCEEDED),
    ]
    core.held = [Lock("dev/app", 8, SINCE), Lock("devbox/app", 1, SINCE), Lock("prod", 2, SINCE)]
    found = await overview(place, core)
    assert [o.id for o in of(found, "dev").going_on] == [8]
    assert [lock.resource for lock in of(found, "dev").locks] == ["dev/app"]
    assert [lock.resource for lock in of(found, "prod").locks] == ["prod"]
    assert [o.id for o in found.waits_for_you] == [9]


async def test_it_can_be_narrowed_and_unknown_names_are_refused(place: Place) -> None:
    found = await overview(place, environment="prod", service="app")
    assert [environment.name for environment in found.environments] == ["prod"]
    for wrong in ({"environment": "stage"}, {"service": "ap"}):
        with pytest.raises(Refused):
            await overview(place, **wrong)


# ---- what fires, what is measured, what was changed ----------------------------------------------------------------


class Alerts:
    """Alerts that a test counts."""

    unconfirmed: datetime | None = None

    async def firing_counts(self) -> dict[tuple[str, str], FiringCount]:
        return {
            ("prod", "app"): FiringCount(2, 1, "critical"),
            ("prod", ""): FiringCount(1, 0, "warning"),
            ("", ""): FiringCount(3, 3, ""),
        }

    async def unconfirmed_since(self) -> datetime | None:
        return self.unconfirmed


class Changed:
    """An index with one change."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def of(
        self, environment: str, service: str, since: datetime, until: datetime, **_: Any
    ) -> tuple[Change, ...]:
        self.asked.append((environment, service))
        assert until - since == timedelta(hours=2)
        return (Change(until, "deploy", "deploy 4f1c2a9", "dev", operation_id=184),) if environment == "dev" else ()


async def test_what_fires_stands_with_its_environment_and_its_service(place: Place) -> None:
    alerts = Alerts()
    text = overview_text(await service_of(place, Core(), alerts=alerts).overview(SRE), 4000)
    assert "**PROD** · 3 firing, 1 of them silenced, worst critical" in text
    assert "\n  2 firing, 1 of them silenced, worst critical" in text
    assert "**DEV** · no alert fires" in text
    assert "without an environment: 3 firing, 3 of them silenced" in text
    assert "unconfirmed" not in text
    alerts.unconfirmed = SINCE
    text = overview_text(await service_of(place, Core(), alerts=alerts).overview(SRE), 4000)
    assert f"! alerts *unconfirmed* since <t:{int(SINCE.timestamp())}:R>: Alertmanager cannot be asked" in text
    assert "alert" not in overview_text(await service_of(place, Core()).overview(SRE), 4000)


async def test_what_was_changed_is_told_and_also_that_nothing_was(place: Place) -> None:
    changes = Changed()
    text = overview_text(await service_of(place, Core(), changes=changes).overview(SRE), 4000)
    dev, prod = text.split("**PROD**")
    assert "#184" in dev and "deploy 4f1c2a9" in dev
    assert "no change in 2 h" in prod
    await service_of(place, Core(), changes=changes).overview(SRE, environment="dev", service="app")
    assert changes.asked[-1] == ("dev", "app")


async def test_figures_are_told_to_those_who_may_see_them(place: Place) -> None:
    class Prometheus:
        async def query(self, promql: str, *_: Any, **__: Any) -> Answer:
            return Answer((Series({}, ((0.0, 0.25 if "p95" in promql else 91.4),)),))

    queries = FigureSettings(cpu='cpu{e="$environment"}', p95='p95{s="$service"}', errors='e{s="$service"}')
    vitals = Vitals(queries, prometheus=Prometheus())
    text = overview_text(await service_of(place, Core(), vitals=vitals).overview(SRE), 4000)
    assert text.count("-# CPU 91.4 %") == 2
    assert "errors 91.4 % · p95 250 ms" in text
    elsewhere = service_of(place, Core(), vitals=vitals)
    only = (PolicySettings(action=Action.STATUS_VIEW, requesters=("sre",)),)
    elsewhere._settings = place.settings.model_copy(update={"policy": only})
    hidden = overview_text(await elsewhere.overview(SRE), 4000)
    assert "CPU" not in hidden and "p95" not in hidden

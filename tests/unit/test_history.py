"""The seeded past hangs together: it ends where the host stands, nobody approves their own, and time runs forward."""

from datetime import UTC, datetime, timedelta

import pytest

from bot.sandbox.history import ON_DEV, ON_PROD, Record, Version, tell

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def versions(count: int) -> list[Version]:
    """Newest first, a day apart; every third has the content of the one before it."""
    made: list[Version] = []
    for number in range(count):
        sha = f"{number:040x}"
        same = number % 3 == 2
        image, built_from = (made[0].image, made[0].built_from) if same else (f"r/app@sha256:{number:064x}", sha)
        made.insert(
            0,
            Version(
                sha,
                NOW - timedelta(days=count - number),
                f"Change {number}",
                ("dev", "sre")[number % 2],
                image,
                built_from,
            ),
        )
    return made


def newest_good(records: list[Record], environment: str) -> Record:
    return [r for r in records if r["environment"] == environment and r["status"] == "succeeded"][-1]


@pytest.mark.parametrize("count", [5, 6, 7, 9, 30])
def test_the_newest_good_rows_are_what_the_host_runs(count: int) -> None:
    known = versions(count)
    records = tell(known)
    for environment, back in (("dev", ON_DEV), ("prod", ON_PROD)):
        newest = newest_good(records, environment)
        assert (newest["commit"], newest["image"]) == (known[back].sha, known[back].image)


def test_a_failure_on_prod_is_followed_by_its_rollback_to_what_ran_before() -> None:
    on_prod = [r for r in tell(versions(9)) if r["environment"] == "prod"]
    at = next(i for i, record in enumerate(on_prod) if record["status"] == "failed")
    assert on_prod[at]["reason"]
    assert (on_prod[at + 1]["kind"], on_prod[at + 1]["status"]) == ("rollback", "succeeded")
    assert on_prod[at + 1]["commit"] == on_prod[at - 1]["commit"] != on_prod[at]["commit"]
    assert on_prod[at + 1]["created_at"] > on_prod[at]["ended_at"]


def test_nobody_approved_their_own_and_every_deploy_to_prod_was_approved() -> None:
    records = tell(versions(12))
    deploys = [r for r in records if (r["environment"], r["kind"]) == ("prod", "deploy")]
    assert deploys
    assert all(r["approver"].startswith("sre") and r["approver"] != r["requester"] for r in deploys)
    assert all("approver" not in r for r in records if r not in deploys)


def test_time_runs_forward_and_never_into_the_future() -> None:
    records = tell(versions(20))
    assert [r["created_at"] for r in records] == sorted(r["created_at"] for r in records)
    for r in records:
        assert r["created_at"] <= r["started_at"] < r["ended_at"] <= NOW.isoformat()


def test_a_version_with_old_content_was_not_built_again() -> None:
    reused = [r for r in tell(versions(9)) if r["status"] == "succeeded" and r["built_from"] != r["commit"]]
    assert reused
    assert all(
        datetime.fromisoformat(r["ended_at"]) - datetime.fromisoformat(r["started_at"]) < timedelta(seconds=30)
        for r in reused
    )


def test_a_repository_that_is_too_young_has_no_past_to_tell() -> None:
    with pytest.raises(ValueError, match="5 are needed"):
        tell(versions(4))

"""The way back: environments are destroyed with the documented commands until only the states' bucket is left."""

import pytest

from tests.infra import terraform
from tests.infra.estate import IN_SECOND_REGION, SECOND_REGION, STATE_BUCKET
from tests.infra.plans import look
from tests.infra.terraform import REGION

terraform.need()


@pytest.fixture(scope="module")
def without_dev(estate, dev, prod, stopwatch):
    """What dev's end took away; its copy in the second region goes beside it."""
    before = estate.holdings()
    with stopwatch.step("dev: destroy, in both regions"):
        elsewhere = estate.making("destroy", "ENVIRONMENT=dev", f"REGION={SECOND_REGION}", "CONFIRM=dev")
        estate.make("destroy", "ENVIRONMENT=dev", f"REGION={REGION}", "CONFIRM=dev").ok()
        elsewhere.end().ok()
    return before - estate.holdings()


def test_destroying_an_environment_asks_for_its_name(estate, dev):
    refused = estate.make("destroy", "ENVIRONMENT=dev", f"REGION={REGION}", "CONFIRM=prod")
    assert refused.code != 0 and "CONFIRM must be the environment" in refused.text
    assert estate.addresses("dev")


def test_destroying_dev_takes_nothing_that_prod_needs(estate, without_dev, dev, prod):
    assert without_dev and not [one for one in without_dev if "prod" in one or "control" in one]
    assert estate.addresses("dev") == []
    assert look(prod.stack).unexplained("prod") == {}


def test_destroying_everything_leaves_nothing_but_the_bucket_of_states(estate, without_dev, control, prod, stopwatch):
    with stopwatch.step("prod: destroy, and control's copy in the second region"):
        beside = estate.begin_destroy(estate.stack("control", SECOND_REGION, **IN_SECOND_REGION))
        prod.stack.destroy("-refresh=false").ok()  # it was looked at a moment ago
    with stopwatch.step("control: destroy"):
        control.stack.destroy("-refresh=false").ok()
        beside.end().ok()
    estate.take_away_the_rest()
    key = estate.backend()["kms_key_id"].rpartition("/")[2]
    assert estate.holdings() - estate.empty == {
        f"s3 buckets: {STATE_BUCKET}",
        f"{REGION} kms aliases: alias/{STATE_BUCKET}",
        f"{REGION} kms key: {key}",
    }

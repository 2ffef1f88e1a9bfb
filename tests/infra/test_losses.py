"""What is lost is brought back with the documented commands; the times are the recovery table's."""

import pytest

from tests.infra import terraform
from tests.infra.estate import SECOND_REGION, state_key
from tests.infra.plans import look
from tests.infra.terraform import REGION, Stack, Started

terraform.need()


@pytest.fixture(scope="module")
def elsewhere(estate, dev) -> tuple[Stack, Started]:
    """The same root while it is applied in another region."""
    stack = estate.stack("dev", SECOND_REGION)
    return stack, estate.begin_apply(stack)


def test_a_damaged_state_is_put_back_from_its_version_before(estate, dev, elsewhere, stopwatch):
    known = estate.addresses("dev")
    estate.damage_state(state_key("dev"))
    with stopwatch.step("drill: the state is damaged", drill="state corrupted"):
        refused = dev.stack.plan()
        restored = estate.make("state-restore", "ENVIRONMENT=dev", f"REGION={REGION}").ok()
        looked = look(dev.stack)
    assert refused.code == 1 and refused.errors
    assert "bytes that are no state" in restored.text and "is now:" in restored.text
    assert looked.run.code == 0 and estate.addresses("dev") == known


def test_an_instance_that_is_lost_is_made_anew_with_its_address(estate, dev, stopwatch):
    before = dev.run.outputs
    with stopwatch.step("drill: the instance is gone", drill="instance lost"):
        estate.account.client("ec2").terminate_instances(InstanceIds=[before["instance_id"]])
        run = dev.stack.apply().ok()
    after = run.outputs
    assert "module.host.aws_instance.this" in run.done
    assert after["instance_id"] != before["instance_id"]
    assert after["public_address"] == before["public_address"]
    assert estate.instance(after["instance_id"])["State"]["Name"] == "running"
    assert estate.instance(before["instance_id"])["State"]["Name"] == "terminated"


def test_a_lost_region_is_made_anew_in_another_by_the_same_root(estate, dev, elsewhere, stopwatch):
    _, begun = elsewhere
    with stopwatch.step("drill: the region is gone, what is left to wait for"):
        run = begun.end().ok()
    stopwatch.note("drill: the region is gone", run.seconds, drill="second region")
    assert estate.addresses("dev", SECOND_REGION) == sorted(run.done)
    assert len(run.done) == len(dev.run.done)
    ec2 = estate.account.client("ec2", SECOND_REGION)
    assert ec2.describe_instances(InstanceIds=[run.outputs["instance_id"]])["Reservations"]


def test_the_first_region_knows_nothing_of_it(dev, stopwatch):
    with stopwatch.step("dev: plan beside the second region"):
        assert look(dev.stack).run.code == 0

"""The first set-up and the days after it, with the real provider: bootstrap, control, dev and prod stand, and stay."""

import json

from tests.infra import terraform
from tests.infra.estate import IMAGE_PARAMETER, SECRET, STATE_BUCKET, state_key
from tests.infra.plans import look
from tests.infra.terraform import differences

terraform.need()


def test_bootstrap_makes_a_bucket_that_keeps_every_version_encrypted_and_to_itself(estate, bootstrapped):
    s3 = estate.account.client("s3")
    assert estate.backend()["bucket"] == STATE_BUCKET
    assert s3.get_bucket_versioning(Bucket=STATE_BUCKET)["Status"] == "Enabled"
    blocked = s3.get_public_access_block(Bucket=STATE_BUCKET)["PublicAccessBlockConfiguration"]
    assert set(blocked.values()) == {True}
    (rule,) = s3.get_bucket_encryption(Bucket=STATE_BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] == estate.backend()["kms_key_id"]
    (lifecycle,) = s3.get_bucket_lifecycle_configuration(Bucket=STATE_BUCKET)["Rules"]
    assert lifecycle["NoncurrentVersionExpiration"]["NoncurrentDays"] == 30
    (statement,) = json.loads(s3.get_bucket_policy(Bucket=STATE_BUCKET)["Policy"])["Statement"]
    assert statement["Effect"] == "Deny" and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_bootstrap_keeps_its_own_state_there_and_changes_nothing_when_run_again(estate, control_begun, stopwatch):
    with stopwatch.step("bootstrap: again"):
        again = estate.make("bootstrap", f"REGION={terraform.REGION}", "YES=1").ok()
    assert "0 added, 0 changed, 0 destroyed" in again.text
    assert estate.kept_state("bootstrap.tfstate")["resources"]


def test_a_second_plan_of_control_says_no_changes(control, stopwatch):
    with stopwatch.step("control: second plan"):
        looked = look(control.stack)
    assert looked.unexplained("control") == {} and looked.idle("control") == []


def test_dev_is_applied_and_its_state_is_in_the_bucket(estate, dev):
    addresses = estate.addresses("dev")
    assert sorted(addresses) == sorted(dev.run.done) and 30 <= len(addresses) <= 50


def test_dev_starts_the_image_that_the_parameter_names_as_it_should(estate, dev):
    outputs = dev.run.outputs
    image = estate.account.client("ssm").get_parameter(Name=IMAGE_PARAMETER)["Parameter"]["Value"]
    instance = estate.instance(outputs["instance_id"])
    assert instance["ImageId"] == image == outputs["ami_id"]
    metadata = instance["MetadataOptions"]
    assert (metadata["HttpTokens"], metadata["HttpPutResponseHopLimit"]) == ("required", 1)
    assert instance["PublicIpAddress"] == outputs["public_address"]
    assert {tag["Key"]: tag["Value"] for tag in instance["Tags"]}["Environment"] == "dev"
    assert "KeyName" not in instance


def test_a_secret_is_in_the_parameter_and_in_no_version_of_the_state(estate, dev):
    name = dev.run.outputs["parameter_names"]["greeting"]
    kept = estate.account.client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]
    assert (kept["Type"], kept["Value"]) == ("SecureString", SECRET)
    assert SECRET not in estate.state_text(state_key("dev"))


def test_a_second_plan_of_dev_says_no_changes(dev, stopwatch):
    with stopwatch.step("dev: second plan"):
        looked = look(dev.stack)
    assert looked.unexplained("dev") == {} and looked.idle("dev") == []


def test_a_changed_variable_plans_just_that_change(estate, dev, stopwatch):
    with stopwatch.step("dev: plan of one variable"):
        looked = look(dev.stack, log_retention_days=60)
    assert set(looked.changes) == {(address, "update") for address in estate.addresses("dev") if "log_group" in address}
    assert {tuple(attributes) for attributes in looked.changes.values()} == {("retention_in_days",)}


def test_an_apply_beside_another_is_refused_and_told_who_holds_the_lock(estate, dev, stopwatch):
    with stopwatch.step("dev: two applies at once"), estate.slow_state("dev"):
        first = estate.begin_apply(dev.stack)
        holder = estate.wait_for_lock("dev")
        said = estate.make("unlock", "ENVIRONMENT=dev", f"REGION={terraform.REGION}").ok().text
        second = dev.stack.apply()
        ended = first.end()
    assert second.code == 1
    (error,) = second.errors
    assert error.startswith("Error acquiring the state lock")
    assert all(holder[known] in error for known in ("ID", "Who", "Operation"))
    assert holder["Who"] in said
    assert ended.ok().done == []


def test_what_is_changed_by_hand_is_found_and_nothing_else(estate, dev, stopwatch):
    logs, name = estate.account.client("logs"), dev.run.outputs["log_group_names"]["app"]
    logs.put_retention_policy(logGroupName=name, retentionInDays=3)
    with stopwatch.step("dev: drift"):
        run = dev.stack.plan("-refresh-only", out="drift.tfplan").ok(2)
    logs.put_retention_policy(logGroupName=name, retentionInDays=30)
    assert run.code == 2
    assert run.drifted == {'module.observability.aws_cloudwatch_log_group.this["app"]': "update"}
    (drift,) = dev.stack.show("drift.tfplan")["resource_drift"]
    change = drift["change"]
    assert list(differences(change["before"], change["after"])) == ["retention_in_days"]
    assert (change["before"]["retention_in_days"], change["after"]["retention_in_days"]) == (30, 3)

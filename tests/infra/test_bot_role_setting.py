"""The root dev tells a host which role is the bot's, where the bot runs, and only there. The provider is mocked."""

import json
import subprocess
from pathlib import Path

from tests.infra import terraform
from tests.infra.terraform import LIMIT_S, REGION, copy_infra, environment

terraform.need()

ROLE = "arn:aws:iam::123456789012:role/quarterdeck-bot"
SHARED = {
    "bot_role_arn": ROLE,
    "artifacts_bucket_name": "quarterdeck-artifacts",
    "artifacts_bucket_arn": "arn:aws:s3:::quarterdeck-artifacts",
    "artifacts_kms_key_arn": f"arn:aws:kms:{REGION}:123456789012:key/0a1b",
    "workload_boundary_arn": "arn:aws:iam::123456789012:policy/boundary",
    "repository_arns": {"app": f"arn:aws:ecr:{REGION}:123456789012:repository/app"},
    "repository_urls": {},
    "document_arns": {},
}
"""What the root control writes."""
TESTS = f"""\
mock_provider "aws" {{
  mock_data "aws_iam_policy_document" {{
    defaults = {{ json = "{{}}" }}
  }}
  mock_data "aws_partition" {{
    defaults = {{ partition = "aws" }}
  }}
}}

override_data {{
  target = data.aws_ssm_parameter.shared
  values = {{ insecure_value = {json.dumps(json.dumps(SHARED))} }}
}}

override_data {{
  target = data.aws_ssm_parameter.ami
  values = {{ insecure_value = "ami-0123456789abcdef0" }}
}}

override_data {{
  target = module.network.data.aws_availability_zones.available
  values = {{ names = ["{REGION}a", "{REGION}b"] }}
}}

run "where_the_bot_runs" {{
  command = plan
  variables {{
    run_bot = true
  }}
  assert {{
    condition     = lookup(local.settings, "BOT_ROLE_ARN", "") == "{ROLE}"
    error_message = "The host does not hear which role the bot takes."
  }}
}}

run "where_it_does_not" {{
  command = plan
  assert {{
    condition     = !contains(keys(local.settings), "BOT_ROLE_ARN")
    error_message = "A host without the bot hears of its role."
  }}
}}
"""


def test_a_host_hears_of_the_bots_role_where_the_bot_runs(tmp_path: Path):
    folder, environ = copy_infra(tmp_path) / "environments" / "dev", environment(tmp_path)
    (folder / "provider_override.tf").unlink()
    (folder / "tests").mkdir()
    (folder / "tests" / "bot.tftest.hcl").write_text(TESTS)
    for argv in (["init", "-backend=false", "-no-color"], ["test", "-no-color"]):
        done = subprocess.run(
            [str(terraform.TERRAFORM), *argv],
            cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=LIMIT_S,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"

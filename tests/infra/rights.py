"""Who may do what, and who may not: each row is a sentence that the policies are held against."""

import re
from dataclasses import dataclass, field, replace
from typing import Any

from tests.infra.iam_simulator import Context
from tests.infra.identities import (
    ACCOUNT,
    ADA,
    ARTIFACTS_BUCKET,
    ARTIFACTS_KEY,
    IAM,
    PROVIDER,
    STATE_BUCKET,
    STATE_KEY,
)
from tests.infra.terraform import REGION

HERE, ELSEWHERE = f"{REGION}:{ACCOUNT}", "999999999999"
INSTANCE = f"arn:aws:ec2:{HERE}:instance/i-0123456789abcdef0"
FOREIGN_INSTANCE = f"arn:aws:ec2:{REGION}:{ELSEWHERE}:instance/i-0123456789abcdef0"
APP, BOT_IMAGES, OTHER_IMAGES = (f"arn:aws:ecr:{HERE}:repository/{name}" for name in ("app", "bot", "payments"))
PARAMETERS = f"arn:aws:ssm:{HERE}:parameter/quarterdeck"
SECRET = f"arn:aws:secretsmanager:{HERE}:secret:x"
OTHER_KEY = f"arn:aws:kms:{HERE}:key/99999999-aaaa-4bbb-8ccc-dddddddddddd"
SHELL, FORWARDING = "SSM-SessionManagerRunShell", "AWS-StartPortForwardingSession"
LOGS = f"arn:aws:logs:{HERE}:log-group:/quarterdeck"
SESSION = f"arn:aws:ssm:{HERE}:session"
USER_ID = "AROAEXAMPLE:ada"
MFA: Context = {"aws:MultiFactorAuthPresent": True}
NO_MFA: Context = {"aws:MultiFactorAuthPresent": False}
OURS: Context = {"ssm:resourceTag/Project": "quarterdeck", "ssm:resourceTag/Environment": "dev"}
OUR_TAG: Context = {"aws:ResourceTag/Project": "quarterdeck"}
SESSION_OPEN: Context = {"ssm:resourceTag/Project": "quarterdeck", "ssm:SessionDocumentAccessCheck": "true"}
IN_BOUNDARY: Context = {"iam:PermissionsBoundary": f"{IAM}:policy/quarterdeck-workload-boundary"}
BY_S3: Context = {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}
BY_SSM: Context = {"kms:ViaService": f"ssm.{REGION}.amazonaws.com"}


def own_document(name: str) -> str:
    return f"arn:aws:ssm:{HERE}:document/{name}"


def aws_document(name: str) -> str:
    """A document of AWS's own, which has no account in its ARN."""
    return f"arn:aws:ssm:{REGION}::document/{name}"


def decrypting(path: str) -> Context:
    return {**BY_SSM, "kms:EncryptionContext:PARAMETER_ARN": f"{PARAMETERS}/{path}"}


def reading(path: str) -> Context:
    return {**BY_S3, "kms:EncryptionContext:aws:s3:arn": f"{path}"}


@dataclass(frozen=True, slots=True)
class Right:
    """One role, one request, and whether it is granted."""

    sentence: str
    who: str
    action: str
    resource: str = "*"
    context: Context = field(default_factory=dict)
    granted: bool = True


def may(who: str, *rows: tuple[Any, ...]) -> list[Right]:
    return [Right(f"{who} may {row[0]}", who, *row[1:]) for row in rows]


def may_not(who: str, *rows: tuple[Any, ...]) -> list[Right]:
    found = [Right(f"{who} may not {row[0]}", who, *row[1:]) for row in rows]
    return [Right(r.sentence, r.who, r.action, r.resource, r.context, granted=False) for r in found]


BOT = [
    *may(
        "bot",
        ("send the deploy document", "ssm:SendCommand", own_document("quarterdeck-deploy")),
        ("send the status document", "ssm:SendCommand", own_document("quarterdeck-status")),
        ("send to a host of dev", "ssm:SendCommand", INSTANCE, OURS),
        ("send to a host of prod", "ssm:SendCommand", INSTANCE, {**OURS, "ssm:resourceTag/Environment": "prod"}),
        ("read which version of its document is current", "ssm:DescribeDocument", own_document("quarterdeck-deploy")),
        ("follow a command", "ssm:GetCommandInvocation"),
        ("find a command whose answer was lost", "ssm:ListCommands"),
        ("cancel a command", "ssm:CancelCommand"),
        ("ask whether a host's agent answers", "ssm:DescribeInstanceInformation"),
        ("find an image of the app", "ecr:DescribeImages", APP),
        ("find an image of its own", "ecr:DescribeImages", BOT_IMAGES),
        ("call people past the chat", "sns:Publish", f"arn:aws:sns:{HERE}:quarterdeck-prod-alarms"),
        ("take the role of plan", "sts:AssumeRole", f"{IAM}:role/quarterdeck-plan"),
        ("take the role of apply", "sts:AssumeRole", f"{IAM}:role/quarterdeck-apply"),
    ),
    *may_not(
        "bot",
        ("run AWS-RunShellScript", "ssm:SendCommand", aws_document("AWS-RunShellScript")),
        ("run a copy of AWS-RunShellScript in the account", "ssm:SendCommand", own_document("AWS-RunShellScript")),
        ("run AWS-RunRemoteScript", "ssm:SendCommand", aws_document("AWS-RunRemoteScript")),
        ("send a document whose name only begins like ours", "ssm:SendCommand", own_document("quarterdeck-deploy-x")),
        ("send a document that it does not use", "ssm:SendCommand", own_document("quarterdeck-disk-clean")),
        ("send to an untagged instance", "ssm:SendCommand", INSTANCE),
        ("send to another project", "ssm:SendCommand", INSTANCE, {**OURS, "ssm:resourceTag/Project": "payments"}),
        (
            "send to a host of an environment that is not listed",
            "ssm:SendCommand",
            INSTANCE,
            {**OURS, "ssm:resourceTag/Environment": "control"},
        ),
        ("send to an instance that has only the environment's tag", "ssm:SendCommand", INSTANCE,
         {"ssm:resourceTag/Environment": "dev"}),
        ("send to an instance of another account", "ssm:SendCommand", FOREIGN_INSTANCE, OURS),
        ("send to a managed node outside EC2", "ssm:SendCommand", f"arn:aws:ssm:{HERE}:managed-instance/mi-1", OURS),
        ("change its document", "ssm:UpdateDocument", own_document("quarterdeck-deploy")),
        ("make another version the default", "ssm:UpdateDocumentDefaultVersion", own_document("quarterdeck-deploy")),
        ("open a session on a host", "ssm:StartSession", INSTANCE, OURS),
        ("start an automation", "ssm:StartAutomationExecution", own_document("quarterdeck-deploy")),
        ("read a secret of dev", "ssm:GetParameter", f"{PARAMETERS}/dev/app/TOKEN"),
        ("tag an instance, so that it may send to it", "ec2:CreateTags", INSTANCE),
        ("stop an instance", "ec2:StopInstances", INSTANCE, OUR_TAG),
        ("push an image", "ecr:PutImage", APP),
        ("see the images of another repository", "ecr:DescribeImages", OTHER_IMAGES),
        ("read another document", "ssm:DescribeDocument", own_document("payments-deploy")),
        ("call another project's people", "sns:Publish", f"arn:aws:sns:{HERE}:payments-alarms"),
        ("read the state", "s3:GetObject", f"{STATE_BUCKET}/{REGION}/dev.tfstate"),
        ("take the build role", "sts:AssumeRole", f"{IAM}:role/quarterdeck-build"),
        ("take the team's role", "sts:AssumeRole", f"{IAM}:role/quarterdeck-team"),
        ("take an administrator's role", "sts:AssumeRole", f"{IAM}:role/administrator"),
        ("make an access key", "iam:CreateAccessKey", ADA),
    ),
]  # fmt: skip

BUILD = [
    *may(
        "build",
        ("log in to the registry", "ecr:GetAuthorizationToken"),
        *((f"push to {name}: {action}", f"ecr:{action}", arn)
          for name, arn in (("app", APP), ("bot", BOT_IMAGES))
          for action in ("BatchCheckLayerAvailability", "InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload",
                         "PutImage", "BatchGetImage", "DescribeImages")),
    ),
    *may_not(
        "build",
        ("push to another repository", "ecr:PutImage", OTHER_IMAGES),
        ("push to a repository whose name begins like ours", "ecr:PutImage", f"{APP}-two"),
        ("push to the same name in another region", "ecr:PutImage", APP.replace(REGION, "us-east-1")),
        ("push to another account", "ecr:PutImage", APP.replace(ACCOUNT, ELSEWHERE)),
        ("upload a layer elsewhere", "ecr:UploadLayerPart", OTHER_IMAGES),
        ("delete an image", "ecr:BatchDeleteImage", APP),
        ("make tags mutable", "ecr:PutImageTagMutability", APP),
        ("change who may pull", "ecr:SetRepositoryPolicy", APP),
        ("make a repository", "ecr:CreateRepository", OTHER_IMAGES),
        ("send a command to a host", "ssm:SendCommand", INSTANCE, OURS),
        ("read a secret", "ssm:GetParameter", f"{PARAMETERS}/prod/app/TOKEN"),
        ("take the bot's role", "sts:AssumeRole", f"{IAM}:role/quarterdeck-bot"),
    ),
]  # fmt: skip

# The host of dev, with the bot; the host of prod is its mirror image, without, and the one that watches (WATCHER).
HOST = [
    *may(
        "dev",
        ("report to Systems Manager", "ssm:UpdateInstanceInformation", INSTANCE),
        ("fetch its commands", "ec2messages:GetMessages"),
        ("carry a session", "ssmmessages:OpenDataChannel"),
        ("log in to the registry", "ecr:GetAuthorizationToken"),
        ("pull an image's manifest", "ecr:BatchGetImage", APP),
        ("pull a layer", "ecr:GetDownloadUrlForLayer", BOT_IMAGES),
        ("read its parameters by path", "ssm:GetParametersByPath", f"{PARAMETERS}/dev/app/"),
        ("decrypt its own secret", "kms:Decrypt", OTHER_KEY, decrypting("dev/app/TOKEN")),
        ("read the monitoring stack's secrets by path", "ssm:GetParametersByPath", f"{PARAMETERS}/dev/monitoring/"),
        ("decrypt a secret of the stack", "kms:Decrypt", OTHER_KEY, decrypting("dev/monitoring/ALERTMANAGER_TOKEN")),
        ("note what serves", "ssm:PutParameter", f"{PARAMETERS}/deployed/dev/app"),
        ("read what served last", "ssm:GetParameter", f"{PARAMETERS}/deployed/dev/app"),
        ("read its data", "s3:GetObject", f"{ARTIFACTS_BUCKET}/data/dev/model.bin"),
        ("read the monitoring bundle", "s3:GetObject", f"{ARTIFACTS_BUCKET}/monitoring/bundle.tar.gz"),
        ("write a backup", "s3:PutObject", f"{ARTIFACTS_BUCKET}/backups/dev/2026-11-23.db"),
        ("read its backup for a restore", "s3:GetObject", f"{ARTIFACTS_BUCKET}/backups/dev/2026-11-23.db"),
        ("list its backups", "s3:ListBucket", ARTIFACTS_BUCKET, {"s3:prefix": "backups/dev/"}),
        ("decrypt its artifacts", "kms:Decrypt", ARTIFACTS_KEY, reading(ARTIFACTS_BUCKET)),
        ("encrypt a backup", "kms:GenerateDataKey", ARTIFACTS_KEY, reading(f"{ARTIFACTS_BUCKET}/backups/dev/x")),
        ("write its logs", "logs:PutLogEvents", f"{LOGS}/dev/app:log-stream:one"),
        ("put its metrics", "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "Quarterdeck/Host"}),
        ("take the bot's role, which runs there", "sts:AssumeRole", f"{IAM}:role/quarterdeck-bot"),
    ),
    *may_not(
        "dev",
        ("read prod's parameters by path", "ssm:GetParametersByPath", f"{PARAMETERS}/prod/app/"),
        ("read everything by the path above", "ssm:GetParametersByPath", PARAMETERS),
        ("read one of prod's secrets", "ssm:GetParameter", f"{PARAMETERS}/prod/app/TOKEN"),
        ("read an environment whose name begins like its own", "ssm:GetParametersByPath", f"{PARAMETERS}/dev2/app/"),
        ("decrypt prod's secret", "kms:Decrypt", OTHER_KEY, decrypting("prod/app/TOKEN")),
        ("read the secrets of prod's stack", "ssm:GetParametersByPath", f"{PARAMETERS}/prod/monitoring/"),
        ("decrypt a secret of prod's stack", "kms:Decrypt", OTHER_KEY, decrypting("prod/monitoring/TOKEN")),
        ("change a secret of the stack", "ssm:PutParameter", f"{PARAMETERS}/dev/monitoring/ALERTMANAGER_TOKEN"),
        ("decrypt its secret past Parameter Store", "kms:Decrypt", OTHER_KEY,
         {"kms:EncryptionContext:PARAMETER_ARN": f"{PARAMETERS}/dev/app/TOKEN"}),
        ("decrypt with any key", "kms:Decrypt", OTHER_KEY),
        ("decrypt with a key of another account", "kms:Decrypt", OTHER_KEY.replace(ACCOUNT, ELSEWHERE),
         decrypting("dev/app/TOKEN")),
        ("read a secret of Secrets Manager", "secretsmanager:GetSecretValue", SECRET),
        ("change one of its parameters", "ssm:PutParameter", f"{PARAMETERS}/dev/app/TOKEN"),
        ("say what serves in prod", "ssm:PutParameter", f"{PARAMETERS}/deployed/prod/app"),
        ("read prod's data", "s3:GetObject", f"{ARTIFACTS_BUCKET}/data/prod/model.bin"),
        ("read prod's backups", "s3:GetObject", f"{ARTIFACTS_BUCKET}/backups/prod/2026-11-23.db"),
        ("write into prod's backups", "s3:PutObject", f"{ARTIFACTS_BUCKET}/backups/prod/2026-11-23.db"),
        ("change the monitoring bundle", "s3:PutObject", f"{ARTIFACTS_BUCKET}/monitoring/bundle.tar.gz"),
        ("change its data", "s3:PutObject", f"{ARTIFACTS_BUCKET}/data/dev/model.bin"),
        ("delete a backup", "s3:DeleteObject", f"{ARTIFACTS_BUCKET}/backups/dev/2026-11-23.db"),
        ("delete a backup's version", "s3:DeleteObjectVersion", f"{ARTIFACTS_BUCKET}/backups/dev/2026-11-23.db"),
        ("list the whole bucket", "s3:ListBucket", ARTIFACTS_BUCKET),
        ("list prod's backups", "s3:ListBucket", ARTIFACTS_BUCKET, {"s3:prefix": "backups/prod/"}),
        ("list another bucket", "s3:ListBucket", STATE_BUCKET, {"s3:prefix": "backups/dev/"}),
        ("use the artifacts' key past S3", "kms:Decrypt", ARTIFACTS_KEY,
         {"kms:EncryptionContext:aws:s3:arn": ARTIFACTS_BUCKET}),
        ("use the artifacts' key for another bucket", "kms:Decrypt", ARTIFACTS_KEY, reading(STATE_BUCKET)),
        ("use another key for the artifacts", "kms:Decrypt", OTHER_KEY, reading(ARTIFACTS_BUCKET)),
        ("read the state", "s3:GetObject", f"{STATE_BUCKET}/{REGION}/dev.tfstate"),
        ("write prod's logs", "logs:PutLogEvents", f"{LOGS}/prod/app:log-stream:one"),
        ("delete its logs", "logs:DeleteLogGroup", f"{LOGS}/dev/app"),
        ("put metrics in the name of AWS", "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "AWS/EC2"}),
        ("put metrics without a namespace", "cloudwatch:PutMetricData"),
        ("pull another repository's image", "ecr:BatchGetImage", OTHER_IMAGES),
        ("pull a layer of another repository", "ecr:GetDownloadUrlForLayer", OTHER_IMAGES),
        ("push an image", "ecr:PutImage", APP),
        ("send a command, also to itself", "ssm:SendCommand", INSTANCE, OURS),
        ("change a document", "ssm:UpdateDocument", own_document("quarterdeck-deploy")),
        ("tag itself into another environment", "ec2:CreateTags", INSTANCE, OUR_TAG),
        ("take the role of apply without the bot's", "sts:AssumeRole", f"{IAM}:role/quarterdeck-apply"),
        ("change its own role", "iam:PutRolePolicy", f"{IAM}:role/quarterdeck-dev-instance"),
    ),
]  # fmt: skip

IN_REGION: Context = {"aws:RequestedRegion": REGION}

# The host of prod runs Prometheus (`watches`), the host of dev does not.
WATCHER = [
    *may("prod", ("find the hosts that it watches", "ec2:DescribeInstances", "*", IN_REGION)),
    *may_not(
        "prod",
        ("look for hosts in another region", "ec2:DescribeInstances", "*", {"aws:RequestedRegion": "us-east-1"}),
        ("look for hosts where the region is not told", "ec2:DescribeInstances"),
        ("see the zones", "ec2:DescribeAvailabilityZones", "*", IN_REGION),
        ("read another host's user data", "ec2:DescribeInstanceAttribute", INSTANCE, IN_REGION),
        ("see who may reach whom", "ec2:DescribeSecurityGroups", "*", IN_REGION),
        ("open a port for itself", "ec2:AuthorizeSecurityGroupIngress",
         f"arn:aws:ec2:{HERE}:security-group/sg-1", {**IN_REGION, **OUR_TAG}),
        ("read another host's console", "ec2:GetConsoleOutput", INSTANCE, IN_REGION),
        ("stop a host that it watches", "ec2:StopInstances", INSTANCE, {**IN_REGION, **OUR_TAG}),
    ),
    *may_not("dev", ("look for hosts, since it does not watch", "ec2:DescribeInstances", "*", IN_REGION)),
]  # fmt: skip

STATE_LOCK = f"{STATE_BUCKET}/{REGION}/dev.tfstate.tflock"

PLAN = [
    *may(
        "plan",
        ("find the state", "s3:ListBucket", STATE_BUCKET),
        ("read the state", "s3:GetObject", f"{STATE_BUCKET}/{REGION}/control.tfstate"),
        ("decrypt the state", "kms:Decrypt", STATE_KEY, BY_S3),
        ("lock the state", "s3:PutObject", STATE_LOCK),
        ("see who holds the lock", "s3:GetObject", STATE_LOCK),
        ("release the lock", "s3:DeleteObject", STATE_LOCK),
        ("ask whether the artifacts' bucket is there", "s3:ListBucket", ARTIFACTS_BUCKET),
        ("see the instances", "ec2:DescribeInstances"),
        ("see a role's policy", "iam:GetRolePolicy", f"{IAM}:role/quarterdeck-dev-instance"),
        ("compare a parameter that Terraform keeps", "ssm:GetParameter", f"{PARAMETERS}/dev/app/TOKEN"),
        ("decrypt it for that", "kms:Decrypt", OTHER_KEY, decrypting("dev/app/TOKEN")),
        ("read the image's id", "ssm:GetParameter", f"{PARAMETERS}/host/ami"),
        ("read what control shares", "ssm:GetParameter", f"{PARAMETERS}/control/shared"),
    ),
    *may_not(
        "plan",
        ("write the state", "s3:PutObject", f"{STATE_BUCKET}/{REGION}/dev.tfstate"),
        ("delete the state", "s3:DeleteObject", f"{STATE_BUCKET}/{REGION}/dev.tfstate"),
        ("list another project's bucket", "s3:ListBucket", "arn:aws:s3:::payments"),
        ("read the artifacts", "s3:GetObject", f"{ARTIFACTS_BUCKET}/backups/prod/x.db"),
        ("read what else lies in the state's bucket", "s3:GetObject", f"{STATE_BUCKET}/notes.txt"),
        ("lock with a file of another kind", "s3:PutObject", f"{STATE_BUCKET}/{REGION}/dev.lock"),
        ("use the state's key past S3", "kms:Decrypt", STATE_KEY),
        ("use another key through S3", "kms:Decrypt", OTHER_KEY, BY_S3),
        ("read a parameter outside the project", "ssm:GetParameter", f"arn:aws:ssm:{HERE}:parameter/payments/TOKEN"),
        ("decrypt a parameter outside the project", "kms:Decrypt", OTHER_KEY,
         {**BY_SSM, "kms:EncryptionContext:PARAMETER_ARN": f"arn:aws:ssm:{HERE}:parameter/payments/TOKEN"}),
        ("decrypt a parameter past Parameter Store", "kms:Decrypt", OTHER_KEY,
         {"kms:EncryptionContext:PARAMETER_ARN": f"{PARAMETERS}/dev/app/TOKEN"}),
        ("decrypt with a key of another account", "kms:Decrypt", OTHER_KEY.replace(ACCOUNT, ELSEWHERE),
         decrypting("dev/app/TOKEN")),
        ("start an instance", "ec2:RunInstances", INSTANCE),
        ("terminate an instance", "ec2:TerminateInstances", INSTANCE, OUR_TAG),
        ("open a port", "ec2:AuthorizeSecurityGroupIngress", f"arn:aws:ec2:{HERE}:security-group/sg-1", OUR_TAG),
        ("change a parameter", "ssm:PutParameter", f"{PARAMETERS}/dev/app/TOKEN"),
        ("make a role", "iam:CreateRole", f"{IAM}:role/quarterdeck-dev-x", IN_BOUNDARY),
        ("read a console's output", "ec2:GetConsoleOutput", INSTANCE),
        ("read a log", "logs:GetLogEvents", f"{LOGS}/prod/app:log-stream:one"),
        ("read a secret of Secrets Manager", "secretsmanager:GetSecretValue", SECRET),
        ("pull an image", "ecr:BatchGetImage", APP),
        ("take the role of apply", "sts:AssumeRole", f"{IAM}:role/quarterdeck-apply"),
    ),
]  # fmt: skip

OWN_ROLE, HOST_PROFILE = f"{IAM}:role/quarterdeck-prod-instance", f"{IAM}:instance-profile/quarterdeck-prod-instance"
FLEET = f"arn:aws:autoscaling:{HERE}:autoScalingGroup:*:autoScalingGroupName/quarterdeck-prod"

APPLY = [
    *may(
        "apply",
        ("write an environment's state", "s3:PutObject", f"{STATE_BUCKET}/{REGION}/dev.tfstate"),
        ("read the state", "s3:GetObject", f"{STATE_BUCKET}/{REGION}/prod.tfstate"),
        ("lock the state", "s3:PutObject", STATE_LOCK),
        ("encrypt the state", "kms:GenerateDataKey", STATE_KEY, BY_S3),
        ("make a network", "ec2:CreateVpc", f"arn:aws:ec2:{HERE}:vpc/*"),
        ("start an instance", "ec2:RunInstances", INSTANCE),
        ("terminate an instance of the project", "ec2:TerminateInstances", INSTANCE, OUR_TAG),
        ("open a port of the project's", "ec2:AuthorizeSecurityGroupIngress",
         f"arn:aws:ec2:{HERE}:security-group/sg-1", OUR_TAG),
        ("make a load balancer", "elasticloadbalancing:CreateLoadBalancer",
         f"arn:aws:elasticloadbalancing:{HERE}:loadbalancer/app/quarterdeck-prod/1"),
        ("make a target group", "elasticloadbalancing:CreateTargetGroup",
         f"arn:aws:elasticloadbalancing:{HERE}:targetgroup/qdeck-2026/1"),
        ("make a fleet", "autoscaling:CreateAutoScalingGroup", FLEET),
        ("make a log group", "logs:CreateLogGroup", f"{LOGS}/dev/app"),
        ("make the log group of a network's flow", "logs:CreateLogGroup", f"{LOGS}/flow-logs/quarterdeck-dev"),
        ("make an alarm", "cloudwatch:PutMetricAlarm", f"arn:aws:cloudwatch:{HERE}:alarm:quarterdeck-dev-cpu"),
        ("give a fleet another target group", "autoscaling:AttachLoadBalancerTargetGroups", FLEET),
        ("take a target group from a fleet", "autoscaling:DetachLoadBalancerTargetGroups", FLEET),
        ("make a topic", "sns:CreateTopic", f"arn:aws:sns:{HERE}:quarterdeck-dev-alarms"),
        ("subscribe somebody to it", "sns:Subscribe", f"arn:aws:sns:{HERE}:quarterdeck-dev-alarms"),
        ("change a subscription", "sns:SetSubscriptionAttributes"),
        ("end a subscription", "sns:Unsubscribe"),
        ("set a parameter", "ssm:PutParameter", f"{PARAMETERS}/dev/app/TOKEN"),
        ("encrypt it", "kms:Encrypt", OTHER_KEY, decrypting("dev/app/TOKEN")),
        ("make daily snapshots", "dlm:CreateLifecyclePolicy"),
        ("end daily snapshots", "dlm:DeleteLifecyclePolicy", f"arn:aws:dlm:{HERE}:policy/policy-1"),
        ("point a name elsewhere", "route53:ChangeResourceRecordSets", "arn:aws:route53:::hostedzone/Z0123456789OWN"),
        ("make a host's role inside the boundary", "iam:CreateRole", OWN_ROLE, IN_BOUNDARY),
        ("give a host's role rights inside the boundary", "iam:PutRolePolicy", OWN_ROLE, IN_BOUNDARY),
        ("make a host's profile", "iam:CreateInstanceProfile", HOST_PROFILE),
        ("delete a host's role", "iam:DeleteRole", OWN_ROLE),
        ("give a role to an instance", "iam:PassRole", OWN_ROLE, {"iam:PassedToService": "ec2.amazonaws.com"}),
        ("let load balancers have their own role", "iam:CreateServiceLinkedRole",
         f"{IAM}:role/aws-service-role/elasticloadbalancing.amazonaws.com/AWSServiceRoleForElasticLoadBalancing",
         {"iam:AWSServiceName": "elasticloadbalancing.amazonaws.com"}),
        ("see a document", "ssm:DescribeDocument", own_document("quarterdeck-deploy")),
    ),
    *may_not(
        "apply",
        ("widen itself", "iam:PutRolePolicy", f"{IAM}:role/quarterdeck-apply", IN_BOUNDARY),
        ("attach a policy to itself", "iam:AttachRolePolicy", f"{IAM}:role/quarterdeck-apply", IN_BOUNDARY),
        ("take off its boundary", "iam:DeleteRolePermissionsBoundary", f"{IAM}:role/quarterdeck-apply"),
        ("take off a host's boundary", "iam:DeleteRolePermissionsBoundary", OWN_ROLE, IN_BOUNDARY),
        ("rewrite the boundary", "iam:CreatePolicyVersion", f"{IAM}:policy/quarterdeck-workload-boundary"),
        ("widen the bot", "iam:PutRolePolicy", f"{IAM}:role/quarterdeck-bot", IN_BOUNDARY),
        ("let others take the bot's role", "iam:UpdateAssumeRolePolicy", f"{IAM}:role/quarterdeck-bot"),
        ("let others take the team's role", "iam:UpdateAssumeRolePolicy", f"{IAM}:role/quarterdeck-team"),
        ("change whom the build role trusts", "iam:UpdateAssumeRolePolicy", f"{IAM}:role/quarterdeck-build"),
        ("change GitHub's provider", "iam:AddClientIDToOpenIDConnectProvider", PROVIDER),
        ("make a role without the boundary", "iam:CreateRole", OWN_ROLE),
        ("make a role inside another boundary", "iam:CreateRole", OWN_ROLE,
         {"iam:PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"}),
        ("make a role outside the environments", "iam:CreateRole", f"{IAM}:role/quarterdeck-other", IN_BOUNDARY),
        ("make a user", "iam:CreateUser", f"{IAM}:user/mallory"),
        ("make an access key", "iam:CreateAccessKey", ADA),
        ("give an instance the bot's role", "iam:PassRole", f"{IAM}:role/quarterdeck-bot",
         {"iam:PassedToService": "ec2.amazonaws.com"}),
        ("give a host's role to Lambda", "iam:PassRole", OWN_ROLE, {"iam:PassedToService": "lambda.amazonaws.com"}),
        ("make a service's role that is not needed", "iam:CreateServiceLinkedRole",
         f"{IAM}:role/aws-service-role/ops.emr-serverless.amazonaws.com/x",
         {"iam:AWSServiceName": "ops.emr-serverless.amazonaws.com"}),
        ("make a service's role under another name", "iam:CreateServiceLinkedRole", f"{IAM}:role/quarterdeck-x",
         {"iam:AWSServiceName": "autoscaling.amazonaws.com"}),
        ("take another role", "sts:AssumeRole", f"{IAM}:role/quarterdeck-bot"),
        ("write control's state", "s3:PutObject", f"{STATE_BUCKET}/{REGION}/control.tfstate"),
        ("delete a state", "s3:DeleteObject", f"{STATE_BUCKET}/{REGION}/dev.tfstate"),
        ("destroy an old version of a state", "s3:DeleteObjectVersion", f"{STATE_BUCKET}/{REGION}/dev.tfstate"),
        ("open the state's bucket", "s3:PutBucketPolicy", STATE_BUCKET),
        ("delete the state's bucket", "s3:DeleteBucket", STATE_BUCKET),
        ("delete a key", "kms:ScheduleKeyDeletion", STATE_KEY),
        ("read a backup", "s3:GetObject", f"{ARTIFACTS_BUCKET}/backups/prod/x.db"),
        ("decrypt the artifacts", "kms:Decrypt", ARTIFACTS_KEY, reading(ARTIFACTS_BUCKET)),
        ("run a command on a host", "ssm:SendCommand", own_document("quarterdeck-deploy")),
        ("open a session on a host", "ssm:StartSession", INSTANCE, {**SESSION_OPEN, **MFA}),
        ("change a document", "ssm:UpdateDocument", own_document("quarterdeck-deploy")),
        ("make a document", "ssm:CreateDocument", own_document("quarterdeck-deploy")),
        ("push an image", "ecr:PutImage", APP),
        ("delete a repository", "ecr:DeleteRepository", APP),
        ("terminate an instance of somebody else", "ec2:TerminateInstances", INSTANCE,
         {"aws:ResourceTag/Project": "payments"}),
        ("terminate an untagged instance", "ec2:TerminateInstances", INSTANCE),
        ("delete somebody else's network", "ec2:DeleteVpc", f"arn:aws:ec2:{HERE}:vpc/vpc-1"),
        ("give away an image", "ec2:ModifyImageAttribute", f"arn:aws:ec2:{REGION}::image/ami-1"),
        ("give away a snapshot", "ec2:ModifySnapshotAttribute", f"arn:aws:ec2:{REGION}::snapshot/snap-1"),
        ("delete somebody else's load balancer", "elasticloadbalancing:DeleteLoadBalancer",
         f"arn:aws:elasticloadbalancing:{HERE}:loadbalancer/app/payments/1"),
        ("take a target group from somebody else's fleet", "autoscaling:DetachLoadBalancerTargetGroups",
         FLEET.replace("quarterdeck-prod", "payments")),
        ("delete somebody else's logs", "logs:DeleteLogGroup", f"arn:aws:logs:{HERE}:log-group:/payments"),
        ("subscribe to somebody else's topic", "sns:Subscribe", f"arn:aws:sns:{HERE}:payments-alarms"),
        ("change a name in somebody else's zone", "route53:ChangeResourceRecordSets",
         "arn:aws:route53:::hostedzone/Z0123456789NOT"),
        ("delete a vault of somebody else", "backup:DeleteBackupVault", f"arn:aws:backup:{HERE}:backup-vault:payments"),
        ("set a parameter outside the project", "ssm:PutParameter", f"arn:aws:ssm:{HERE}:parameter/payments/TOKEN"),
        ("say which image hosts are made of", "ssm:PutParameter", f"{PARAMETERS}/host/ami"),
        ("encrypt past Parameter Store", "kms:Encrypt", OTHER_KEY,
         {"kms:EncryptionContext:PARAMETER_ARN": f"{PARAMETERS}/dev/app/TOKEN"}),
        ("encrypt a parameter outside the project", "kms:Encrypt", OTHER_KEY,
         {**BY_SSM, "kms:EncryptionContext:PARAMETER_ARN": f"arn:aws:ssm:{HERE}:parameter/payments/TOKEN"}),
        ("encrypt with a key of another account", "kms:Encrypt", OTHER_KEY.replace(ACCOUNT, ELSEWHERE),
         decrypting("dev/app/TOKEN")),
        ("stop the record of calls", "cloudtrail:StopLogging", f"arn:aws:cloudtrail:{HERE}:trail/quarterdeck"),
        ("stop the guard", "guardduty:DeleteDetector", f"arn:aws:guardduty:{HERE}:detector/1"),
    ),
]  # fmt: skip

TEAM = [
    *may(
        "team",
        ("see the instances", "ec2:DescribeInstances"),
        ("see the alarms", "cloudwatch:DescribeAlarms"),
        ("read the logs", "logs:FilterLogEvents", f"{LOGS}/prod/app:*"),
        ("read the answer of a query", "logs:GetQueryResults"),
        ("open a session on a host, with a second factor", "ssm:StartSession", INSTANCE, {**SESSION_OPEN, **MFA}),
        ("use the shell, with a second factor", "ssm:StartSession", own_document(SHELL), MFA),
        ("forward a port, with a second factor", "ssm:StartSession", aws_document(FORWARDING), MFA),
        ("speak in a session of one's own", "ssmmessages:OpenDataChannel", f"{SESSION}/{USER_ID}-0a1b",
         {**MFA, "aws:userid": USER_ID}),
        ("end a session of one's own", "ssm:TerminateSession", f"{SESSION}/ada-0a1b",
         {"aws:userid": USER_ID, "ssm:resourceTag/aws:ssmmessages:session-id": USER_ID}),
        ("see who has a session", "ssm:DescribeSessions"),
        ("find the state's versions, with a second factor", "s3:ListBucketVersions", STATE_BUCKET, MFA),
        ("read the state, with a second factor", "s3:GetObject", f"{STATE_BUCKET}/{REGION}/prod.tfstate", MFA),
        ("decrypt the state, with a second factor", "kms:Decrypt", STATE_KEY, {**BY_S3, **MFA}),
    ),
    *may_not(
        "team",
        ("open a session without a second factor", "ssm:StartSession", INSTANCE, {**SESSION_OPEN, **NO_MFA}),
        ("open a session where nobody asked for the second factor", "ssm:StartSession", INSTANCE, SESSION_OPEN),
        ("use the shell without a second factor", "ssm:StartSession", own_document(SHELL), NO_MFA),
        ("forward a port without a second factor", "ssm:StartSession", aws_document(FORWARDING)),
        ("forward to another host behind it", "ssm:StartSession",
         aws_document("AWS-StartPortForwardingSessionToRemoteHost"), MFA),
        ("run any command by a session", "ssm:StartSession", aws_document("AWS-StartInteractiveCommand"), MFA),
        ("get round the right to the document", "ssm:StartSession", INSTANCE,
         {**SESSION_OPEN, **MFA, "ssm:SessionDocumentAccessCheck": "false"}),
        ("open a session on an untagged instance", "ssm:StartSession", INSTANCE, MFA),
        ("open a session in another project", "ssm:StartSession", INSTANCE,
         {**SESSION_OPEN, **MFA, "ssm:resourceTag/Project": "payments"}),
        ("open a session in another account", "ssm:StartSession", FOREIGN_INSTANCE, {**SESSION_OPEN, **MFA}),
        ("speak in somebody else's session", "ssmmessages:OpenDataChannel", f"{SESSION}/AROAEXAMPLE:grace-0a1b",
         {**MFA, "aws:userid": USER_ID}),
        ("speak in a session without a second factor", "ssmmessages:OpenDataChannel", f"{SESSION}/{USER_ID}-0a1b",
         {"aws:userid": USER_ID}),
        ("end somebody else's session", "ssm:TerminateSession", f"{SESSION}/grace-0a1b",
         {"aws:userid": USER_ID, "ssm:resourceTag/aws:ssmmessages:session-id": "AROAEXAMPLE:grace"}),
        ("end a session in another account", "ssm:TerminateSession",
         f"{SESSION}/ada-0a1b".replace(ACCOUNT, ELSEWHERE),
         {"aws:userid": USER_ID, "ssm:resourceTag/aws:ssmmessages:session-id": USER_ID}),
        ("read the state without a second factor", "s3:GetObject", f"{STATE_BUCKET}/{REGION}/prod.tfstate", NO_MFA),
        ("list the state without a second factor", "s3:ListBucket", STATE_BUCKET),
        ("list another bucket", "s3:ListBucket", ARTIFACTS_BUCKET, MFA),
        ("read a backup", "s3:GetObject", f"{ARTIFACTS_BUCKET}/backups/prod/x.db", MFA),
        ("decrypt the state without a second factor", "kms:Decrypt", STATE_KEY, BY_S3),
        ("use the state's key past S3", "kms:Decrypt", STATE_KEY, MFA),
        ("use another key", "kms:Decrypt", OTHER_KEY, {**BY_S3, **MFA}),
        ("write the state", "s3:PutObject", f"{STATE_BUCKET}/{REGION}/prod.tfstate", MFA),
        ("remove a lock", "s3:DeleteObject", STATE_LOCK, MFA),
        ("read a secret, also with a second factor", "ssm:GetParameter", f"{PARAMETERS}/prod/app/TOKEN", MFA),
        ("read secrets by path", "ssm:GetParametersByPath", f"{PARAMETERS}/prod/app/", MFA),
        ("read a secret of Secrets Manager", "secretsmanager:GetSecretValue", SECRET, MFA),
        ("read somebody else's logs", "logs:FilterLogEvents", f"arn:aws:logs:{HERE}:log-group:/payments:*"),
        ("send a command", "ssm:SendCommand", aws_document("AWS-RunShellScript"), MFA),
        ("terminate an instance", "ec2:TerminateInstances", INSTANCE, {**OUR_TAG, **MFA}),
        ("take the role of apply", "sts:AssumeRole", f"{IAM}:role/quarterdeck-apply", MFA),
        ("make an access key", "iam:CreateAccessKey", ADA, MFA),
    ),
]  # fmt: skip

# What holds even when somebody attaches AdministratorAccess one day.
GIVEN_EVERYTHING, WITHOUT_BOUNDARY = ", given everything,", ", without its boundary,"

EVEN_THEN = [
    *may(
        f"apply{GIVEN_EVERYTHING}",
        ("make a host's role", "iam:CreateRole", OWN_ROLE, IN_BOUNDARY),
        ("make a host's profile", "iam:CreateInstanceProfile", HOST_PROFILE),
        ("let a service have its own role", "iam:CreateServiceLinkedRole", f"{IAM}:role/aws-service-role/x/y"),
        ("write a state", "s3:PutObject", f"{STATE_BUCKET}/{REGION}/dev.tfstate"),
        ("use the state's key", "kms:Decrypt", STATE_KEY, BY_S3),
    ),
    *may_not(
        f"apply{GIVEN_EVERYTHING}",
        ("widen itself", "iam:PutRolePolicy", f"{IAM}:role/quarterdeck-apply"),
        ("make a user", "iam:CreateUser", f"{IAM}:user/mallory"),
        ("rewrite a policy", "iam:CreatePolicyVersion", f"{IAM}:policy/quarterdeck-apply-boundary"),
        ("take off a host's boundary", "iam:DeleteRolePermissionsBoundary", OWN_ROLE),
        ("give an instance the bot's role", "iam:PassRole", f"{IAM}:role/quarterdeck-bot"),
        ("take another role", "sts:AssumeRole", f"{IAM}:role/administrator"),
        ("run a command", "ssm:SendCommand", own_document("quarterdeck-deploy")),
        ("read a backup", "s3:GetObject", f"{ARTIFACTS_BUCKET}/backups/prod/x.db"),
        ("decrypt the artifacts", "kms:Decrypt", ARTIFACTS_KEY),
        ("open the state's bucket", "s3:PutBucketPolicy", STATE_BUCKET),
        ("stop the record of calls", "cloudtrail:StopLogging"),
    ),
    *may(
        f"dev{GIVEN_EVERYTHING}",
        ("pull an image", "ecr:BatchGetImage", APP),
        ("write its logs", "logs:PutLogEvents", f"{LOGS}/dev/app:log-stream:one"),
        ("read its parameters", "ssm:GetParametersByPath", f"{PARAMETERS}/dev/app/"),
        ("read what served last", "ssm:GetParameter", f"{PARAMETERS}/deployed/dev/app"),
        ("write a backup", "s3:PutObject", f"{ARTIFACTS_BUCKET}/backups/dev/x.db"),
        ("decrypt an artifact", "kms:Decrypt", ARTIFACTS_KEY, BY_S3),
        ("take the bot's role", "sts:AssumeRole", f"{IAM}:role/quarterdeck-bot"),
        ("copy a snapshot, as the role of snapshots does", "ec2:CreateSnapshot", f"arn:aws:ec2:{HERE}:volume/vol-1"),
    ),
    *may_not(
        f"dev{GIVEN_EVERYTHING}",
        ("read prod's secrets", "ssm:GetParametersByPath", f"{PARAMETERS}/prod/app/"),
        ("read one of prod's secrets", "ssm:GetParameter", f"{PARAMETERS}/prod/app/TOKEN"),
        ("change what control shares", "ssm:PutParameter", f"{PARAMETERS}/control/shared"),
        ("read the state", "s3:GetObject", f"{STATE_BUCKET}/{REGION}/dev.tfstate"),
        ("decrypt past a service", "kms:Decrypt", STATE_KEY),
        ("decrypt with a key of another account", "kms:Decrypt",
         STATE_KEY.replace(ACCOUNT, ELSEWHERE), BY_S3),
        ("take the role of apply", "sts:AssumeRole", f"{IAM}:role/quarterdeck-apply"),
        ("make a role", "iam:CreateRole", f"{IAM}:role/x"),
        ("write another account's logs", "logs:PutLogEvents",
         f"{LOGS}/dev/app:log-stream:one".replace(ACCOUNT, ELSEWHERE)),
        ("start an instance", "ec2:RunInstances", INSTANCE),
        ("send a command", "ssm:SendCommand", INSTANCE, OURS),
    ),
    *may_not(
        f"team{GIVEN_EVERYTHING}",
        ("read a secret", "ssm:GetParameter", f"{PARAMETERS}/prod/app/TOKEN", MFA),
        ("read a secret of Secrets Manager", "secretsmanager:GetSecretValue", SECRET),
    ),
]  # fmt: skip


def mirrored(right: Right) -> Right:
    """The same of the host of prod: both names change places, and the bot's role is not for it."""

    def swap(text: str) -> str:
        return re.sub("dev|prod", lambda found: {"dev": "prod", "prod": "dev"}[found[0]], text)

    context = {key: swap(value) if isinstance(value, str) else value for key, value in right.context.items()}
    if right.who == "dev" and right.resource == f"{IAM}:role/quarterdeck-bot":
        return Right("prod may not take the bot's role", "prod", right.action, right.resource, context, granted=False)
    return Right(
        swap(right.sentence), swap(right.who), right.action, swap(right.resource), context, granted=right.granted
    )


def bare(right: Right) -> Right:
    """The same of a role whose boundary somebody took away: its own policies are no wider than they need be."""
    who = f"{right.who}{WITHOUT_BOUNDARY}"
    return replace(right, who=who, sentence=right.sentence.replace(right.who, who, 1))


RIGHTS = [
    *BOT,
    *BUILD,
    *HOST,
    *map(mirrored, HOST),
    *WATCHER,
    *PLAN,
    *APPLY,
    *TEAM,
    *EVEN_THEN,
    *(mirrored(one) for one in EVEN_THEN if one.who.startswith("dev")),
    *map(bare, [*HOST, *map(mirrored, HOST), *WATCHER, *APPLY]),
]

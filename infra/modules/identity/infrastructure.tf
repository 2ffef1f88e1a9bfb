# The two roles of Terraform: plan reads, apply changes the environments. Neither touches what this module belongs to:
# the identities, the documents, the registry, the buckets of state and artifacts. Those are the environment control.

data "aws_iam_policy_document" "bot_only" {
  statement {
    sid     = "BotOnly"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = [local.role_arns.bot]
    }
  }
}

# --- what describes the infrastructure; shared by plan, apply and the team ---------------------------------------------

# Metadata only. Nothing here reads a secret, an object, a log line, an image or a table.
data "aws_iam_policy_document" "infrastructure_read" {
  #checkov:skip=CKV_AWS_356:metadata of everything is what plan and the team are for; secrets, objects, logs and images are not in it

  statement {
    sid = "Describe"
    actions = [
      "acm:DescribeCertificate",
      "acm:ListCertificates",
      "acm:ListTagsForCertificate",
      "autoscaling:Describe*",
      "backup:DescribeBackupVault",
      "backup:GetBackupPlan",
      "backup:GetBackupSelection",
      "backup:ListTags",
      "budgets:ListTagsForResource",
      "budgets:ViewBudget",
      "cloudtrail:DescribeTrails",
      "cloudtrail:GetEventSelectors",
      "cloudtrail:GetInsightSelectors",
      "cloudtrail:GetTrail",
      "cloudtrail:GetTrailStatus",
      "cloudtrail:ListTags",
      "cloudwatch:Describe*",
      "cloudwatch:GetDashboard",
      "cloudwatch:GetMetricData",
      "cloudwatch:GetMetricStatistics",
      "cloudwatch:List*",
      "config:Describe*",
      "config:ListTagsForResource",
      "dlm:Get*",
      "dlm:ListTagsForResource",
      "dynamodb:DescribeContinuousBackups",
      "dynamodb:DescribeTable",
      "dynamodb:DescribeTimeToLive",
      "dynamodb:ListTagsOfResource",
      "ec2:Describe*",
      "ec2:GetInstanceUefiData",
      "ecr:DescribeImages",
      "ecr:DescribeRegistry",
      "ecr:DescribeRepositories",
      "ecr:GetLifecyclePolicy",
      "ecr:GetRegistryScanningConfiguration",
      "ecr:GetRepositoryPolicy",
      "ecr:ListTagsForResource",
      "elasticloadbalancing:Describe*",
      "guardduty:GetDetector",
      "guardduty:List*",
      "iam:GetInstanceProfile",
      "iam:GetOpenIDConnectProvider",
      "iam:GetPolicy",
      "iam:GetPolicyVersion",
      "iam:GetRole",
      "iam:GetRolePolicy",
      "iam:ListAttachedRolePolicies",
      "iam:ListInstanceProfilesForRole",
      "iam:ListOpenIDConnectProviders",
      "iam:ListPolicyVersions",
      "iam:ListRolePolicies",
      "iam:ListRoleTags",
      "kms:DescribeKey",
      "kms:GetKeyPolicy",
      "kms:GetKeyRotationStatus",
      "kms:ListAliases",
      "kms:ListResourceTags",
      "logs:DescribeLogGroups",
      "logs:DescribeMetricFilters",
      "logs:DescribeResourcePolicies",
      "logs:ListTagsForResource",
      "route53:GetChange",
      "route53:GetHealthCheck",
      "route53:GetHostedZone",
      "route53:ListHostedZones",
      "route53:ListResourceRecordSets",
      "route53:ListTagsForResource",
      "s3:GetAccelerateConfiguration",
      "s3:GetBucket*",
      "s3:GetEncryptionConfiguration",
      "s3:GetLifecycleConfiguration",
      "s3:GetReplicationConfiguration",
      "secretsmanager:DescribeSecret",
      "secretsmanager:GetResourcePolicy",
      "sns:GetSubscriptionAttributes",
      "sns:GetTopicAttributes",
      "sns:List*",
      "ssm:DescribeDocument",
      "ssm:DescribeDocumentPermission",
      "ssm:DescribeInstanceInformation",
      "ssm:DescribeParameters",
      "ssm:GetDocument",
      "ssm:ListCommandInvocations",
      "ssm:ListCommands",
      "ssm:ListDocuments",
      "ssm:ListTagsForResource",
      "wafv2:GetLoggingConfiguration",
      "wafv2:GetWebACL",
      "wafv2:GetWebACLForResource",
      "wafv2:ListTagsForResource",
    ]
    resources = ["*"]
  }
}

resource "aws_iam_policy" "infrastructure_read" {
  name        = local.policy_names.infrastructure_read
  description = "Describes what there is; reads no secret, object, log line or image."
  policy      = data.aws_iam_policy_document.infrastructure_read.json
}

# --- plan -------------------------------------------------------------------------------------------------------------

data "aws_iam_policy_document" "plan" {
  # Terraform asks of each bucket that it keeps whether it is there, and that is this right.
  statement {
    sid       = "FindState"
    actions   = ["s3:ListBucket"]
    resources = [var.state_bucket_arn, "arn:aws:s3:::${var.project}-*"]
  }

  statement {
    sid       = "ReadState"
    actions   = ["s3:GetObject"]
    resources = [local.state_objects]
  }

  statement {
    sid       = "LockState"
    actions   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    resources = ["${local.state_objects}.tflock"]
  }

  statement {
    sid       = "UseStateKey"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.state_kms_key_arn]

    condition {
      test     = "StringLike"
      variable = "kms:ViaService"
      values   = ["s3.*.amazonaws.com"]
    }
  }

  # Terraform compares each parameter that it keeps, decrypted: whoever plans can read these. Only the bot may plan.
  statement {
    sid       = "ReadKeptParameters"
    actions   = ["ssm:GetParameter", "ssm:GetParameters"]
    resources = concat(local.environment_parameter_arns, local.shared_parameter_arns)
  }

  statement {
    sid       = "DecryptKeptParameters"
    actions   = ["kms:Decrypt"]
    resources = ["arn:aws:kms:*:${local.account}:key/*"]

    condition {
      test     = "StringLike"
      variable = "kms:ViaService"
      values   = ["ssm.*.amazonaws.com"]
    }

    condition {
      test     = "StringLike"
      variable = "kms:EncryptionContext:PARAMETER_ARN"
      values   = local.environment_parameter_arns
    }
  }
}

resource "aws_iam_role" "plan" {
  name                 = local.role_names.plan
  description          = "Terraform's plan: reads the infrastructure and the state, writes nothing but the state's lock."
  assume_role_policy   = data.aws_iam_policy_document.bot_only.json
  max_session_duration = 3600

  depends_on = [aws_iam_role.bot]
}

resource "aws_iam_role_policy" "plan" {
  name   = "plan"
  role   = aws_iam_role.plan.name
  policy = data.aws_iam_policy_document.plan.json
}

resource "aws_iam_role_policy_attachment" "plan_reads" {
  role       = aws_iam_role.plan.name
  policy_arn = local.policy_arns.infrastructure_read

  depends_on = [aws_iam_policy.infrastructure_read]
}

# --- apply ------------------------------------------------------------------------------------------------------------

# Apply holds what plan holds, and what follows.
resource "aws_iam_role_policy" "apply_plans" {
  name   = "plan"
  role   = aws_iam_role.apply.name
  policy = data.aws_iam_policy_document.plan.json
}

data "aws_iam_policy_document" "apply_network" {
  #checkov:skip=CKV_AWS_111:networks get their ids when they are made; what exists already is protected by its tag in NothingOfOthers
  #checkov:skip=CKV_AWS_356:networks get their ids when they are made; what exists already is protected by its tag in NothingOfOthers

  # Networks have no names in their ARNs: what is there already is protected by its tag, below.
  statement {
    sid = "Network"
    actions = [
      "ec2:AllocateAddress",
      "ec2:AssociateAddress",
      "ec2:AssociateRouteTable",
      "ec2:AttachInternetGateway",
      "ec2:AuthorizeSecurityGroupEgress",
      "ec2:AuthorizeSecurityGroupIngress",
      "ec2:CreateFlowLogs",
      "ec2:CreateInternetGateway",
      "ec2:CreateNatGateway",
      "ec2:CreateRoute",
      "ec2:CreateRouteTable",
      "ec2:CreateSecurityGroup",
      "ec2:CreateSubnet",
      "ec2:CreateTags",
      "ec2:CreateVpc",
      "ec2:CreateVpcEndpoint",
      "ec2:DeleteFlowLogs",
      "ec2:DeleteInternetGateway",
      "ec2:DeleteNatGateway",
      "ec2:DeleteRoute",
      "ec2:DeleteRouteTable",
      "ec2:DeleteSecurityGroup",
      "ec2:DeleteSubnet",
      "ec2:DeleteTags",
      "ec2:DeleteVpc",
      "ec2:DeleteVpcEndpoints",
      "ec2:DetachInternetGateway",
      "ec2:DisassociateAddress",
      "ec2:DisassociateRouteTable",
      "ec2:ModifySecurityGroupRules",
      "ec2:ModifySubnetAttribute",
      "ec2:ModifyVpcAttribute",
      "ec2:ModifyVpcEndpoint",
      "ec2:ReleaseAddress",
      "ec2:ReplaceRoute",
      "ec2:ReplaceRouteTableAssociation",
      "ec2:RevokeSecurityGroupEgress",
      "ec2:RevokeSecurityGroupIngress",
      "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
      "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
    ]
    resources = ["*"]
  }

  statement {
    sid = "Machines"
    actions = [
      "ec2:AssociateIamInstanceProfile",
      "ec2:CreateLaunchTemplate",
      "ec2:CreateLaunchTemplateVersion",
      "ec2:DeleteKeyPair",
      "ec2:DeleteLaunchTemplate",
      "ec2:DeleteLaunchTemplateVersions",
      "ec2:DisassociateIamInstanceProfile",
      "ec2:GetLaunchTemplateData",
      "ec2:ImportKeyPair",
      "ec2:ModifyInstanceAttribute",
      "ec2:ModifyInstanceCreditSpecification",
      "ec2:ModifyInstanceMetadataOptions",
      "ec2:ModifyLaunchTemplate",
      "ec2:ModifyVolume",
      "ec2:MonitorInstances",
      "ec2:ReplaceIamInstanceProfileAssociation",
      "ec2:RunInstances",
      "ec2:StartInstances",
      "ec2:StopInstances",
      "ec2:TerminateInstances",
      "ec2:UnmonitorInstances",
    ]
    resources = ["*"]
  }

  # Every one of these can be told by the tag of what it is done to. What lacks the tag is somebody else's.
  statement {
    sid    = "NothingOfOthers"
    effect = "Deny"
    actions = [
      "ec2:AuthorizeSecurityGroupEgress",
      "ec2:AuthorizeSecurityGroupIngress",
      "ec2:DeleteInternetGateway",
      "ec2:DeleteLaunchTemplate",
      "ec2:DeleteNatGateway",
      "ec2:DeleteRouteTable",
      "ec2:DeleteSecurityGroup",
      "ec2:DeleteSubnet",
      "ec2:DeleteVpc",
      "ec2:DeleteVpcEndpoints",
      "ec2:ReleaseAddress",
      "ec2:RevokeSecurityGroupEgress",
      "ec2:RevokeSecurityGroupIngress",
      "ec2:StopInstances",
      "ec2:TerminateInstances",
    ]
    resources = flatten([
      for kind in [
        "elastic-ip", "instance", "internet-gateway", "launch-template", "natgateway", "route-table", "security-group",
        "subnet", "vpc", "vpc-endpoint",
      ] : "arn:aws:ec2:*:${local.account}:${kind}/*"
    ])

    condition {
      test     = "StringNotEquals"
      variable = "aws:ResourceTag/Project"
      values   = [var.project]
    }
  }
}

resource "aws_iam_policy" "apply_network" {
  name        = local.policy_names.apply_network
  description = "Networks and machines of the environments."
  policy      = data.aws_iam_policy_document.apply_network.json
}

data "aws_iam_policy_document" "apply_services" {
  #checkov:skip=CKV_AWS_111:only what gets its id afterwards or knows no resources has a star; everything else is named by environment
  #checkov:skip=CKV_AWS_356:only what gets its id afterwards or knows no resources has a star; everything else is named by environment

  statement {
    sid = "LoadBalancersAndFleets"
    actions = [
      "autoscaling:AttachLoadBalancerTargetGroups",
      "autoscaling:CancelInstanceRefresh",
      "autoscaling:CreateAutoScalingGroup",
      "autoscaling:CreateOrUpdateTags",
      "autoscaling:DeleteAutoScalingGroup",
      "autoscaling:DeletePolicy",
      "autoscaling:DeleteTags",
      "autoscaling:DetachLoadBalancerTargetGroups",
      "autoscaling:DisableMetricsCollection",
      "autoscaling:EnableMetricsCollection",
      "autoscaling:PutScalingPolicy",
      "autoscaling:ResumeProcesses",
      "autoscaling:SetInstanceProtection",
      "autoscaling:StartInstanceRefresh",
      "autoscaling:SuspendProcesses",
      "autoscaling:UpdateAutoScalingGroup",
      "elasticloadbalancing:AddTags",
      "elasticloadbalancing:CreateListener",
      "elasticloadbalancing:CreateLoadBalancer",
      "elasticloadbalancing:CreateRule",
      "elasticloadbalancing:CreateTargetGroup",
      "elasticloadbalancing:Delete*",
      "elasticloadbalancing:DeregisterTargets",
      "elasticloadbalancing:Modify*",
      "elasticloadbalancing:RegisterTargets",
      "elasticloadbalancing:RemoveTags",
      "elasticloadbalancing:Set*",
    ]
    resources = concat(
      # A target group that is replaced gets its name from a prefix of six characters: no room for the environment.
      ["arn:aws:elasticloadbalancing:*:${local.account}:targetgroup/qdeck-*"],
      flatten([
        for environment in local.environments : [
          "arn:aws:autoscaling:*:${local.account}:autoScalingGroup:*:autoScalingGroupName/${var.project}-${environment}*",
          "arn:aws:elasticloadbalancing:*:${local.account}:*/${var.project}-${environment}*",
        ]
      ]),
    )
  }

  statement {
    sid = "LogsAlarmsAndTopics"
    actions = [
      "cloudwatch:DeleteAlarms",
      "cloudwatch:DeleteDashboards",
      "cloudwatch:PutDashboard",
      "cloudwatch:PutMetricAlarm",
      "cloudwatch:TagResource",
      "cloudwatch:UntagResource",
      "logs:CreateLogGroup",
      "logs:DeleteLogGroup",
      "logs:DeleteMetricFilter",
      "logs:DeleteRetentionPolicy",
      "logs:PutMetricFilter",
      "logs:PutRetentionPolicy",
      "logs:TagResource",
      "logs:UntagResource",
      "sns:CreateTopic",
      "sns:DeleteTopic",
      "sns:SetTopicAttributes",
      "sns:Subscribe",
      "sns:TagResource",
      "sns:UntagResource",
    ]
    resources = flatten([
      for environment in local.environments : [
        "arn:aws:cloudwatch:*:${local.account}:alarm:${var.project}-${environment}*",
        "arn:aws:cloudwatch::${local.account}:dashboard/${var.project}-${environment}*",
        "arn:aws:logs:*:${local.account}:log-group:/${var.project}/${environment}/*",
        "arn:aws:logs:*:${local.account}:log-group:aws-waf-logs-${var.project}-${environment}*",
        "arn:aws:logs:*:${local.account}:log-group:/${var.project}/flow-logs/${var.project}-${environment}*",
        "arn:aws:sns:*:${local.account}:${var.project}-${environment}*",
      ]
    ])
  }

  # AWS knows no resources for these two: whose subscription it is cannot be told.
  statement {
    sid       = "Subscriptions"
    actions   = ["sns:SetSubscriptionAttributes", "sns:Unsubscribe"]
    resources = ["*"]
  }

  statement {
    sid = "Parameters"
    actions = [
      "ssm:AddTagsToResource",
      "ssm:DeleteParameter",
      "ssm:PutParameter",
      "ssm:RemoveTagsFromResource",
    ]
    resources = [for environment in local.environments : "arn:aws:ssm:*:${local.account}:parameter/${var.project}/${environment}/*"]
  }

  statement {
    sid       = "EncryptParameters"
    actions   = ["kms:Encrypt", "kms:GenerateDataKey"]
    resources = ["arn:aws:kms:*:${local.account}:key/*"]

    condition {
      test     = "StringLike"
      variable = "kms:ViaService"
      values   = ["ssm.*.amazonaws.com"]
    }

    condition {
      test     = "StringLike"
      variable = "kms:EncryptionContext:PARAMETER_ARN"
      values   = local.environment_parameter_arns
    }
  }

  # What is created here gets its id afterwards, and a firewall's log delivery has none: there is nothing to name.
  statement {
    sid = "CreateSnapshotsAndHealthChecks"
    actions = [
      "backup:CreateBackupPlan",
      "dlm:CreateLifecyclePolicy",
      "logs:CreateLogDelivery",
      "logs:DeleteLogDelivery",
      "logs:PutResourcePolicy",
      "route53:CreateHealthCheck",
    ]
    resources = ["*"]
  }

  statement {
    sid = "SnapshotsHealthChecksAndFirewall"
    actions = [
      "backup:CreateBackupSelection",
      "backup:CreateBackupVault",
      "backup:DeleteBackupPlan",
      "backup:DeleteBackupSelection",
      "backup:DeleteBackupVault",
      "backup:TagResource",
      "backup:UntagResource",
      "backup:UpdateBackupPlan",
      "dlm:DeleteLifecyclePolicy",
      "dlm:TagResource",
      "dlm:UntagResource",
      "dlm:UpdateLifecyclePolicy",
      "route53:ChangeTagsForResource",
      "route53:DeleteHealthCheck",
      "route53:UpdateHealthCheck",
      "wafv2:AssociateWebACL",
      "wafv2:CreateWebACL",
      "wafv2:DeleteLoggingConfiguration",
      "wafv2:DeleteWebACL",
      "wafv2:DisassociateWebACL",
      "wafv2:PutLoggingConfiguration",
      "wafv2:TagResource",
      "wafv2:UntagResource",
      "wafv2:UpdateWebACL",
    ]
    resources = concat(
      [
        "arn:aws:backup:*:${local.account}:backup-plan:*",
        "arn:aws:dlm:*:${local.account}:policy/*",
        "arn:aws:route53:::healthcheck/*",
        "arn:aws:wafv2:*:*:*/managedruleset/*",
      ],
      flatten([
        for environment in local.environments : [
          "arn:aws:backup:*:${local.account}:backup-vault:${var.project}-${environment}*",
          "arn:aws:elasticloadbalancing:*:${local.account}:loadbalancer/app/${var.project}-${environment}*",
          "arn:aws:wafv2:*:${local.account}:*/webacl/${var.project}-${environment}*",
        ]
      ]),
    )
  }

  dynamic "statement" {
    for_each = length(var.hosted_zone_ids) > 0 ? [true] : []

    content {
      sid       = "NamesInOwnZones"
      actions   = ["route53:ChangeResourceRecordSets"]
      resources = [for zone in sort(var.hosted_zone_ids) : "arn:aws:route53:::hostedzone/${zone}"]
    }
  }
}

resource "aws_iam_policy" "apply_services" {
  name        = local.policy_names.apply_services
  description = "Load balancers, fleets, logs, alarms, parameters, snapshots and names of the environments."
  policy      = data.aws_iam_policy_document.apply_services.json
}

data "aws_iam_policy_document" "apply" {
  statement {
    sid       = "WriteEnvironmentsState"
    actions   = ["s3:PutObject"]
    resources = local.environment_state_objects
  }

  # A role comes into being, and gets rights, only inside the boundary.
  statement {
    sid = "RolesInsideTheBoundary"
    actions = [
      "iam:AttachRolePolicy",
      "iam:CreateRole",
      "iam:DeleteRolePolicy",
      "iam:DetachRolePolicy",
      "iam:PutRolePermissionsBoundary",
      "iam:PutRolePolicy",
    ]
    resources = local.environment_role_arns

    condition {
      test     = "StringEquals"
      variable = "iam:PermissionsBoundary"
      values   = [local.policy_arns.workload_boundary]
    }
  }

  statement {
    sid = "RolesAndProfiles"
    actions = [
      "iam:AddRoleToInstanceProfile",
      "iam:CreateInstanceProfile",
      "iam:DeleteInstanceProfile",
      "iam:DeleteRole",
      "iam:RemoveRoleFromInstanceProfile",
      "iam:TagInstanceProfile",
      "iam:TagRole",
      "iam:UntagInstanceProfile",
      "iam:UntagRole",
      "iam:UpdateAssumeRolePolicy",
      "iam:UpdateRole",
    ]
    resources = concat(local.environment_role_arns, local.environment_profile_arns)
  }

  statement {
    sid       = "GiveRolesToServices"
    actions   = ["iam:PassRole"]
    resources = local.environment_role_arns

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values = [
        "backup.amazonaws.com",
        "dlm.amazonaws.com",
        "ec2.amazonaws.com",
        "vpc-flow-logs.amazonaws.com",
      ]
    }
  }

  statement {
    sid       = "ServicesOwnRoles"
    actions   = ["iam:CreateServiceLinkedRole"]
    resources = ["${local.iam}:role/aws-service-role/*"]

    condition {
      test     = "StringEquals"
      variable = "iam:AWSServiceName"
      values = [
        "autoscaling.amazonaws.com",
        "elasticloadbalancing.amazonaws.com",
        "wafv2.amazonaws.com",
      ]
    }
  }
}

resource "aws_iam_role_policy" "apply" {
  name   = "apply"
  role   = aws_iam_role.apply.name
  policy = data.aws_iam_policy_document.apply.json
}

# What apply never does, whoever attaches what to it later: it is apply's own permissions boundary as well.
data "aws_iam_policy_document" "apply_boundary" {
  #checkov:skip=CKV_AWS_1:this is a permissions boundary: it grants nothing, and everything but its Deny statements is left to the policies
  #checkov:skip=CKV_AWS_49:this is a permissions boundary: it grants nothing, and everything but its Deny statements is left to the policies
  #checkov:skip=CKV_AWS_107:this is a permissions boundary: it grants nothing, and everything but its Deny statements is left to the policies
  #checkov:skip=CKV_AWS_108:this is a permissions boundary: it grants nothing, and everything but its Deny statements is left to the policies
  #checkov:skip=CKV_AWS_109:this is a permissions boundary: it grants nothing, and everything but its Deny statements is left to the policies
  #checkov:skip=CKV_AWS_110:this is a permissions boundary: it grants nothing, and everything but its Deny statements is left to the policies
  #checkov:skip=CKV_AWS_111:this is a permissions boundary: it grants nothing, and everything but its Deny statements is left to the policies
  #checkov:skip=CKV_AWS_356:this is a permissions boundary: it grants nothing, and everything but its Deny statements is left to the policies

  statement {
    sid       = "WhatItsPoliciesGrant"
    actions   = ["*"]
    resources = ["*"]
  }

  statement {
    sid    = "NotTheIdentities"
    effect = "Deny"
    actions = [
      "iam:Add*",
      "iam:Attach*",
      "iam:Create*",
      "iam:Delete*",
      "iam:Detach*",
      "iam:PassRole",
      "iam:Put*",
      "iam:Remove*",
      "iam:Set*",
      "iam:Tag*",
      "iam:Untag*",
      "iam:Update*",
      "iam:Upload*",
    ]
    not_resources = concat(
      local.environment_role_arns,
      local.environment_profile_arns,
      ["${local.iam}:role/aws-service-role/*"],
    )
  }

  statement {
    sid    = "NotOutOfTheBoundary"
    effect = "Deny"
    actions = [
      "iam:DeleteRolePermissionsBoundary",
      "sts:AssumeRole",
    ]
    resources = ["*"]
  }

  # Who may make a machine need not read what machines have backed up.
  statement {
    sid       = "NotTheArtifacts"
    effect    = "Deny"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey*", "s3:*Object*"]
    resources = [var.artifacts_kms_key_arn, "${local.artifacts_of_all_regions}/*"]
  }

  statement {
    sid    = "NotTheControlPlane"
    effect = "Deny"
    actions = [
      "cloudtrail:DeleteTrail",
      "cloudtrail:StopLogging",
      "cloudtrail:UpdateTrail",
      "config:DeleteConfigurationRecorder",
      "config:StopConfigurationRecorder",
      "ec2:ModifyImageAttribute",
      "ec2:ModifySnapshotAttribute",
      "ecr:BatchDeleteImage",
      "ecr:DeleteRepository",
      "ecr:PutImage",
      "ecr:SetRepositoryPolicy",
      "guardduty:DeleteDetector",
      "guardduty:UpdateDetector",
      "kms:DisableKey",
      "kms:PutKeyPolicy",
      "kms:ScheduleKeyDeletion",
      "organizations:*",
      "s3:DeleteBucket*",
      "s3:DeleteObjectVersion",
      "s3:PutBucket*",
      "s3:PutEncryptionConfiguration",
      "s3:PutLifecycleConfiguration",
      "ssm:CreateDocument",
      "ssm:DeleteDocument",
      "ssm:ModifyDocumentPermission",
      "ssm:SendCommand",
      "ssm:StartSession",
      "ssm:UpdateDocument*",
    ]
    resources = ["*"]
  }
}

resource "aws_iam_policy" "apply_boundary" {
  name        = local.policy_names.apply_boundary
  description = "What the apply role never does, whatever else is attached to it."
  policy      = data.aws_iam_policy_document.apply_boundary.json
}

resource "aws_iam_role" "apply" {
  name                 = local.role_names.apply
  description          = "Terraform's apply: changes the environments ${join(", ", local.environments)}, and never the roles, documents, registry and buckets of control."
  assume_role_policy   = data.aws_iam_policy_document.bot_only.json
  permissions_boundary = local.policy_arns.apply_boundary
  max_session_duration = 3600

  depends_on = [aws_iam_policy.apply_boundary, aws_iam_role.bot]
}

resource "aws_iam_role_policy_attachment" "apply_changes" {
  for_each = {
    network  = local.policy_arns.apply_network
    reads    = local.policy_arns.infrastructure_read
    services = local.policy_arns.apply_services
  }

  role       = aws_iam_role.apply.name
  policy_arn = each.value

  depends_on = [aws_iam_policy.apply_network, aws_iam_policy.apply_services, aws_iam_policy.infrastructure_read]
}

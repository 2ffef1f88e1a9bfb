data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

# Daily copies of the instances, by Data Lifecycle Manager.

data "aws_iam_policy_document" "snapshots_trust" {
  count = var.snapshots ? 1 : 0

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["dlm.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_iam_role" "snapshots" {
  count = var.snapshots ? 1 : 0

  name                 = "${var.name}-snapshots"
  description          = "Data Lifecycle Manager makes and deletes the daily copies of ${var.environment}"
  assume_role_policy   = data.aws_iam_policy_document.snapshots_trust[0].json
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy_attachment" "snapshots" {
  count = var.snapshots ? 1 : 0

  role       = aws_iam_role.snapshots[0].name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/${local.snapshot_policies[var.kind]}"
}

resource "aws_dlm_lifecycle_policy" "daily" {
  count = var.snapshots ? 1 : 0

  # AWS allows letters, digits, spaces, hyphens and underscores in the description and nothing else.
  description        = "Daily copies of ${var.environment}"
  execution_role_arn = aws_iam_role.snapshots[0].arn
  state              = "ENABLED"

  policy_details {
    policy_type    = local.snapshot_policy_types[var.kind]
    resource_types = ["INSTANCE"]
    # Several tags would be alternatives to one another here: the name alone says project and environment.
    target_tags = { Name = "quarterdeck-${var.environment}" }

    schedule {
      name      = "daily"
      copy_tags = true

      create_rule {
        cron_expression = "cron(${var.schedule_cron})"
      }

      retain_rule {
        interval      = var.keep_days
        interval_unit = "DAYS"
      }

      tags_to_add = { CreatedBy = var.name }
    }

    # Copies are made while the instance runs: what it keeps (container images, env files) survives a power cut as well.
    # Snapshots are always made so, and have no such parameter.
    dynamic "parameters" {
      for_each = var.kind == "image" ? [true] : []

      content {
        no_reboot = parameters.value
      }
    }
  }

  depends_on = [aws_iam_role_policy_attachment.snapshots]
}

# Terraform's state, every version of it, in a second region; the bucket there is made by the module state_replica.

data "aws_iam_policy_document" "replication_trust" {
  count = local.replicated ? 1 : 0

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

data "aws_iam_policy_document" "replication" {
  count = local.replicated ? 1 : 0

  statement {
    sid       = "ReadState"
    actions   = ["s3:GetReplicationConfiguration", "s3:ListBucket"]
    resources = [local.state_bucket_arn]
  }

  statement {
    sid       = "ReadVersions"
    actions   = ["s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"]
    resources = ["${local.state_bucket_arn}/*"]
  }

  statement {
    sid       = "WriteCopies"
    actions   = ["s3:ReplicateObject", "s3:ReplicateTags"]
    resources = ["${var.state_replication.replica_bucket_arn}/*"]
  }

  statement {
    sid       = "Decrypt"
    actions   = ["kms:Decrypt"]
    resources = [var.state_replication.kms_key_arn]
  }

  statement {
    sid       = "Encrypt"
    actions   = ["kms:Encrypt", "kms:GenerateDataKey"]
    resources = [var.state_replication.replica_kms_key_arn]
  }
}

resource "aws_iam_role" "replication" {
  count = local.replicated ? 1 : 0

  name                 = "${var.name}-state-replication"
  description          = "S3 copies Terraform's state to the second region"
  assume_role_policy   = data.aws_iam_policy_document.replication_trust[0].json
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "replication" {
  count = local.replicated ? 1 : 0

  name   = "replicate-state"
  role   = aws_iam_role.replication[0].id
  policy = data.aws_iam_policy_document.replication[0].json
}

resource "aws_s3_bucket_replication_configuration" "state" {
  count = local.replicated ? 1 : 0

  bucket = var.state_replication.bucket_name
  role   = aws_iam_role.replication[0].arn

  rule {
    id     = "state"
    status = "Enabled"

    filter {}

    # A state that somebody deletes here stays there.
    delete_marker_replication {
      status = "Disabled"
    }

    source_selection_criteria {
      sse_kms_encrypted_objects {
        status = "Enabled"
      }
    }

    destination {
      bucket        = var.state_replication.replica_bucket_arn
      storage_class = "STANDARD_IA"

      encryption_configuration {
        replica_kms_key_id = var.state_replication.replica_kms_key_arn
      }
    }
  }

  depends_on = [aws_iam_role_policy.replication]
}

# Images, so that the second region has something to start when the first is gone.

resource "aws_ecr_replication_configuration" "images" {
  count = length(var.image_replication_regions) > 0 ? 1 : 0

  replication_configuration {
    rule {
      dynamic "destination" {
        for_each = var.image_replication_regions

        content {
          region      = destination.value
          registry_id = data.aws_caller_identity.current.account_id
        }
      }
    }
  }
}

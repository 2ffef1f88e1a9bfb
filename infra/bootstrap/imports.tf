# Whatever has a name of its own and is there already is adopted. The bucket's settings (versioning, encryption, policy ...)
# need no import: to create one of them is to write it, whether or not there was one before.

import {
  for_each = toset(compact([var.adopt.bucket]))
  to       = aws_s3_bucket.state
  id       = each.key
}

import {
  for_each = toset(compact([var.adopt.kms_key_id]))
  to       = aws_kms_key.state
  id       = each.key
}

import {
  for_each = toset(compact([var.adopt.kms_alias]))
  to       = aws_kms_alias.state
  id       = each.key
}

import {
  for_each = toset(compact([var.adopt.lock_table]))
  to       = aws_dynamodb_table.locks[0]
  id       = each.key
}

"""The comparison of what the fakes say and accept with descriptions that others wrote; it changes no answer.

Switched on in tests and by `--validate`. `Inspector` is the face; without the descriptions or without jsonschema-rs
there is none, and a sentence says what is missing.
"""

"""How the schema came to be, step by step; alembic runs it, and only when there is something to run."""

REVISIONS = ("0001", "0002", "0003")
"""Every revision in order, so that an up-to-date database is recognised without importing alembic."""

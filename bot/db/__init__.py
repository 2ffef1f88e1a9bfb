"""The rows: opening the database, its tables and how they change over time. What rows mean is `bot.ops`' business."""

DATABASE_NAME = "quarterdeck.sqlite3"
"""What the file is called in every state directory."""

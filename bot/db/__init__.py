"""The rows: opening the database, its tables and how they change over time. What rows mean is `bot.ops`' business."""

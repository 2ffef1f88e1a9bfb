"""What comes in by HTTP: questions after the bot's health, and Alertmanager's webhooks. No person comes in here."""

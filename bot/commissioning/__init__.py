"""Setting a bot up: what is asked, what is looked up, and the configuration file that comes of it."""

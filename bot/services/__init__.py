"""What Quarterdeck does, in plain async Python: knows the clients and the core, and nothing of Discord."""

"""What people see and press in Discord. Reaches the core through the engine, decides nothing, remembers nothing."""

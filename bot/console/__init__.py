"""The command line's rooms: what a person on the host does when Discord is down, through the same engine and policy."""

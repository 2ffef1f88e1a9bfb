"""The runner that really executes workflow files: nektos/act on this machine, offline, with stand-ins for actions."""

"""Quarterdeck: a Discord-first ChatOps bot for one team's AWS environment."""

__version__ = "0.1.0"

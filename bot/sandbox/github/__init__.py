"""GitHub on loopback: a bare git repository behind GitHub's REST API, runs that live on the world's clock, webhooks.

What it answers, GitHub answers in that shape; what it does not have is a plain 404. It knows one repository and one
token. Runs go by a plan, or are really executed by `act`; either way what is shown depends on git, on what is written
down and on the clock alone.
"""

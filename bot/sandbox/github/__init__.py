"""GitHub on loopback: a bare git repository behind GitHub's REST API, and runs that live on the world's clock.

What it answers, GitHub answers in that shape; what it does not have is a plain 404. It knows one repository, one
token, and no webhooks.
"""

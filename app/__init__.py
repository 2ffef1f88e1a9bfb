"""The small web service that Quarterdeck deploys: a page with a clock, its health and its metrics.

It is a program of its own: it imports nothing of the rest of the project and is started with `python -m app`.
"""

__version__ = "0.1.0"

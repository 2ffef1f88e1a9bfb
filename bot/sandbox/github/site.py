"""The few pages behind this GitHub's `html_url`s, so that a link on a card opens something: a run or a commit.

Read-only, and open to whoever can reach loopback, as the pages of a public repository are.
"""

from html import escape

from aiohttp import web

from bot.sandbox.cast import GITHUB_REPOSITORY
from bot.sandbox.github.errors import not_found
from bot.sandbox.github.pages import positive
from bot.sandbox.github.repository import SHA, Repository
from bot.sandbox.github.runner import Actions
from bot.sandbox.github.runs import JobView
from bot.sandbox.github.shapes import stamp

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}"
    "body{color:#1f2328;background:#fff}"
    "pre{overflow-x:auto;background:#f6f8fa;padding:1rem}h1{font-size:1.3rem}small{color:#59636e}"
    "@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}pre{background:#161b22}}"
)
POLICY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}


class Site:
    """Handlers of the pages."""

    def __init__(self, *, actions: Actions, repository: Repository) -> None:
        self._actions = actions
        self._repository = repository

    def routes(self) -> list[web.RouteDef]:
        """Open to everybody, as their names say."""
        home = f"/{GITHUB_REPOSITORY}"
        return [
            web.get(home + "/actions/runs/{run}", self._run, name="open:run"),
            web.get(home + "/actions/runs/{run}/job/{job}", self._run, name="open:job"),
            web.get(home + "/commit/{sha}", self._commit, name="open:commit"),
            web.get(home + "/commit/{sha}/checks", self._commit, name="open:checks"),
        ]

    async def _run(self, request: web.Request) -> web.Response:
        view = self._actions.view(self._actions.find(positive(request, "run")))
        run, parts = view.run, []
        for job in view.jobs:
            parts.append(f"<h2>{escape(job.plan.name)}: {escape(job.conclusion or job.status)}</h2>{_steps(job)}")
            if job.status == "completed":
                parts.append(f"<pre>{escape(self._actions.log(run, job))}</pre>")
        about = f"{run.workflow} #{run.number}, attempt {run.attempt}, {run.event} on {run.branch} by {run.actor}"
        word = view.conclusion or view.status
        return _page(f"{run.title}: {word}", f"<p><small>{escape(about)}</small></p>{''.join(parts)}")

    async def _commit(self, request: web.Request) -> web.Response:
        sha = request.match_info["sha"]
        if SHA.fullmatch(sha) is None or await self._repository.first_commit(sha) is None:
            not_found()
        commit = await self._repository.commit(sha)
        changes = await self._repository.changes(commit.parents[0] if commit.parents else None, sha)
        lines = "\n".join(f"{c.status:9} +{c.additions} -{c.deletions}  {c.path}" for c in changes[:100])
        about = f"{sha}, {commit.author.name}, {stamp(commit.committer.at)}"
        body = f"<p><small>{escape(about)}</small></p><pre>{escape(commit.message)}</pre><pre>{escape(lines)}</pre>"
        return _page(commit.title, body)


def _steps(job: JobView) -> str:
    rows = "".join(f"<li>{escape(step.plan.name)}: {step.conclusion or step.status}</li>" for step in job.steps)
    return f"<ol>{rows}</ol>"


def _page(title: str, body: str) -> web.Response:
    head = "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    text = f"{head}<title>{escape(title)}</title><style>{STYLE}</style><h1>{escape(title)}</h1>{body}"
    return web.Response(text=text, content_type="text/html", headers=POLICY)

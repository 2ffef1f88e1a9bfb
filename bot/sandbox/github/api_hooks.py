"""Webhooks over the REST API: hooks made, read, changed and removed, pinged, their deliveries listed and repeated."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from bot.sandbox.clock import Clock
from bot.sandbox.github.announcer import Announcer
from bot.sandbox.github.api_git import REPO
from bot.sandbox.github.errors import GithubError, invalid, not_found, unprocessable
from bot.sandbox.github.hooks import HIDDEN, Delivery, Hooks, encode, is_local
from bot.sandbox.github.journal import Hook
from bot.sandbox.github.pages import as_json, dump, flag, paged, positive, read_object, window
from bot.sandbox.github.shapes import REPOSITORY_ID, Shapes, stamp
from bot.sandbox.wire import Rejected

KEYS: dict[str, tuple[type, ...]] = {"name": (str,), "config": (dict,), "events": (list,), "active": (bool,)}
CHANGES: dict[str, tuple[type, ...]] = {**KEYS, "add_events": (list,), "remove_events": (list,)}
CONTENT_TYPES = ("json", "form")
HOOKS_MAX = 20
"""Hooks of one repository: GitHub documentation, "Creating webhooks", 2026."""


class HooksApi:
    """Handlers over the hooks."""

    def __init__(self, *, clock: Clock, hooks: Hooks, announcer: Announcer, shapes: Shapes) -> None:
        self._clock = clock
        self._hooks = hooks
        self._announcer = announcer
        self._shapes = shapes

    def routes(self) -> list[web.RouteDef]:
        """Named as GitHub's OpenAPI names its operations, with `_` for `-`."""
        hooks, one = REPO + "/hooks", REPO + "/hooks/{hook}"
        delivery = one + "/deliveries/{delivery}"
        return [
            web.get(hooks, self._list, name="repos:list_webhooks"),
            web.post(hooks, self._create, name="repos:create_webhook"),
            web.get(one, self._get, name="repos:get_webhook"),
            web.patch(one, self._update, name="repos:update_webhook"),
            web.delete(one, self._delete, name="repos:delete_webhook"),
            web.get(one + "/config", self._config, name="repos:get_webhook_config_for_repo"),
            web.post(one + "/pings", self._ping, name="repos:ping_webhook"),
            web.post(one + "/tests", self._test, name="repos:test_push_webhook"),
            web.get(one + "/deliveries", self._deliveries, name="repos:list_webhook_deliveries"),
            web.get(delivery, self._delivery, name="repos:get_webhook_delivery"),
            web.post(delivery + "/attempts", self._again, name="repos:redeliver_webhook_delivery"),
        ]

    def _find(self, request: web.Request) -> Hook:
        hook = self._hooks.all.get(positive(request, "hook"))
        if hook is None:
            not_found()
        return hook

    async def _list(self, request: web.Request) -> web.Response:
        return paged(request, self._shapes.base, [self.body(hook) for hook in self._hooks.all.values()])

    async def _get(self, request: web.Request) -> web.Response:
        return dump(self.body(self._find(request)))

    async def _config(self, request: web.Request) -> web.Response:
        return dump(self.body(self._find(request))["config"])

    async def _create(self, request: web.Request) -> web.Response:
        body = await read_object(request, KEYS)
        if body.get("name", "web") != "web":
            invalid("Hook", "name")
        hook = self.new(body.get("config") or {}, body.get("events", ["push"]), active=body.get("active", True))
        return as_json(self.body(hook), 201)

    def new(self, config: dict[str, Any], events: list[Any], *, active: bool = True) -> Hook:
        """Make a hook and ping it.

        Raises:
            GithubError: 422, for a configuration that makes no sense or exists already.
        """
        now = self._clock.now()
        hook = Hook(id=0, target=REPOSITORY_ID, url="", active=active, created_at=now, updated_at=now)
        hook = _configured(replace(hook, events=_events(events)), config)
        if any((h.url, h.events) == (hook.url, hook.events) for h in self._hooks.all.values()):
            message = "Hook already exists on this repository"
            raise GithubError(
                422, "Validation Failed", errors=[{"resource": "Hook", "code": "custom", "message": message}]
            )
        if len(self._hooks.all) >= HOOKS_MAX:
            unprocessable(f"The limit of {HOOKS_MAX} hooks is reached")
        kept = self._hooks.put(hook)
        self._announcer.ping(kept, self.body(kept))
        return kept

    def set_up(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make a hook as an owner would on the settings page; with a url that has one already, change that.

        Raises:
            Rejected: a key is unknown or the hook makes no sense.
        """
        unknown = [str(key) for key in body if key not in ("url", "secret", "events")]
        if unknown:
            raise Rejected(f"Unknown key {unknown[0][:100]!r}; known are url, secret, events.")
        events = body.get("events", ["*"])
        if not isinstance(events, list):
            raise Rejected("events must be a list of texts.")
        config = {"url": body.get("url"), "secret": body.get("secret", ""), "content_type": "json"}
        try:
            known = next((hook for hook in self._hooks.all.values() if hook.url == config["url"]), None)
            if known is None:
                return self.body(self.new(config, events))
            changed = replace(_configured(known, config), events=_events(events), updated_at=self._clock.now())
            return self.body(self._hooks.put(changed))
        except GithubError as error:
            details = "; ".join(str(e.get("message") or f"{e.get('field')} is {e['code']}") for e in error.errors or ())
            raise Rejected(details or error.message) from error

    async def _update(self, request: web.Request) -> web.Response:
        hook, body = self._find(request), await read_object(request, CHANGES)
        events = _events(body["events"]) if "events" in body else hook.events
        gone = set(_events(body.get("remove_events", [])))
        added = [event for event in _events(body.get("add_events", [])) if event not in events]
        hook = replace(hook, events=tuple(e for e in (*events, *added) if e not in gone))
        hook = _configured(hook, body["config"]) if "config" in body else hook
        changed = replace(hook, active=body.get("active", hook.active), updated_at=self._clock.now())
        return dump(self.body(self._hooks.put(changed)))

    async def _delete(self, request: web.Request) -> web.Response:
        self._hooks.remove(self._find(request).id)
        return web.Response(status=204)

    async def _ping(self, request: web.Request) -> web.Response:
        hook = self._find(request)
        self._announcer.ping(hook, self.body(hook))
        return web.Response(status=204)

    async def _test(self, request: web.Request) -> web.Response:
        """The newest push again, to a hook that hears of pushes."""
        hook = self._find(request)
        if "push" in hook.events or "*" in hook.events:
            self._announcer.newest_push(hook)
        return web.Response(status=204)

    def body(self, hook: Hook) -> dict[str, Any]:
        """A hook in GitHub's shape; its secret is never shown."""
        url = f"{self._shapes.repo}/hooks/{hook.id}"
        config = {"url": hook.url, "content_type": hook.content_type, "insecure_ssl": hook.insecure_ssl}
        return {
            "type": "Repository",
            "id": hook.id,
            "name": "web",
            "active": hook.active,
            "events": list(hook.events),
            "config": config | ({"secret": HIDDEN} if hook.secret else {}),
            "created_at": stamp(hook.created_at),
            "updated_at": stamp(hook.updated_at),
            "url": url,
            "test_url": f"{url}/test",
            "ping_url": f"{url}/pings",
            "deliveries_url": f"{url}/deliveries",
            "last_response": {"code": hook.last.code, "status": hook.last.status, "message": hook.last.message},
        }

    # ---- deliveries ------------------------------------------------------------------------------------------

    async def _deliveries(self, request: web.Request) -> web.Response:
        """Newest first, in pages that are found by a cursor, not a number."""
        found = self._hooks.deliveries(self._find(request).id)
        if (cursor := request.query.get("cursor", "").removeprefix("v1_")) and cursor.isdecimal():
            found = [delivery for delivery in found if delivery.id <= int(cursor)]
        if flag(request, "status"):
            good = request.query["status"] == "success"
            found = [delivery for delivery in found if (delivery.answer.status == "OK") == good]
        _, per_page = window(request)
        response = dump([_item(delivery) for delivery in found[:per_page]])
        if len(found) > per_page:
            query = {**request.query, "cursor": f"v1_{found[per_page].id}"}
            response.headers["Link"] = f'<{self._shapes.base}{request.rel_url.with_query(query)}>; rel="next"'
        return response

    def _sent(self, request: web.Request) -> Delivery:
        wanted = positive(request, "delivery")
        for delivery in self._hooks.deliveries(self._find(request).id):
            if delivery.id == wanted:
                return delivery
        not_found()

    async def _delivery(self, request: web.Request) -> web.Response:
        delivery = self._sent(request)
        answer = delivery.answer
        return dump(
            {
                **_item(delivery),
                "url": delivery.url,
                "request": {"headers": dict(delivery.headers), "payload": json.loads(encode(delivery.payload, "json"))},
                "response": {"headers": dict(answer.headers), "payload": answer.text},
            }
        )

    async def _again(self, request: web.Request) -> web.Response:
        await read_object(request, {})
        self._hooks.again(self._sent(request))
        return as_json({}, 202)


def _item(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "guid": delivery.guid,
        "delivered_at": stamp(delivery.delivered_at),
        "redelivery": delivery.redelivery,
        "duration": round(delivery.answer.duration_s, 2),
        "status": delivery.answer.status,
        "status_code": delivery.answer.code,
        "event": delivery.event,
        "action": delivery.action,
        "installation_id": None,
        "repository_id": REPOSITORY_ID,
        "throttled_at": None,
    }


def _configured(hook: Hook, config: dict[str, Any]) -> Hook:
    url, content_type = config.get("url", hook.url), config.get("content_type", hook.content_type)
    secret = config.get("secret", hook.secret)
    if not isinstance(url, str) or not url:
        invalid("Hook", "url", "missing_field")
    if not is_local(url):
        text = f"url is not supported because {url[:200]!r} is not on this machine: deliveries go to loopback only"
        raise GithubError(422, "Validation Failed", errors=[{"resource": "Hook", "code": "custom", "message": text}])
    if content_type not in CONTENT_TYPES:
        invalid("Hook", "content_type")
    if not isinstance(secret, str):
        invalid("Hook", "secret")
    insecure = str(config.get("insecure_ssl", hook.insecure_ssl))
    return replace(hook, url=url, content_type=content_type, secret=secret, insecure_ssl=insecure)


def _events(events: list[Any]) -> tuple[str, ...]:
    if not all(isinstance(event, str) and event for event in events):
        invalid("Hook", "events")
    return tuple(dict.fromkeys(events))

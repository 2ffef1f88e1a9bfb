"""Embeds: the limits of Discord's documentation ("Embed Limits"), and the form in which they are given back."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from bot.sandbox.discord.forms import Form

Json = dict[str, Any]
Resolve = Callable[[str, str], Json]
"""Turns an address and its path in the form into a media item; `attachment://` names a file of the message."""

EMBEDS_LIMIT = 10
TOTAL_LIMIT = 6000
FIELDS_LIMIT = 25
SCHEMES = ("http://", "https://", "attachment://")


def read(form: Form, body: Json, *, resolve: Resolve) -> list[Json]:
    """The body's embeds, checked; faults go to the form."""
    found = [_embed(form, raw, at, resolve) for at, raw in form.objects(body, "embeds", most=EMBEDS_LIMIT)]
    if sum(_length(embed) for embed in found) > TOTAL_LIMIT:
        form.fail("embeds", "MAX_EMBED_SIZE_EXCEEDED", f"Embed size exceeds maximum size of {TOTAL_LIMIT}")
    return found


def _embed(form: Form, raw: Json, at: str, resolve: Resolve) -> Json:
    embed: Json = {"type": "rich"}
    for key, most in (("title", 256), ("description", 4096)):
        if text := form.text(_trimmed(raw, key), key, at, most=most):
            embed[key] = text
    if url := _address(form, raw, "url", at):
        embed["url"] = url
    if raw.get("color") is not None:
        embed["color"] = form.whole(raw, "color", at, least=0, most=0xFFFFFF)
    if raw.get("timestamp") is not None:
        embed["timestamp"] = _timestamp(form, raw, at)
    for key in ("image", "thumbnail"):
        part = form.object(raw, key, at)
        if part and (url := _address(form, part, "url", f"{at}.{key}")):
            item = resolve(url, f"{at}.{key}.url")
            embed[key] = {name: item[name] for name in ("url", "proxy_url", "width", "height") if name in item}
    for key, named, most in (("footer", "text", 2048), ("author", "name", 256)):
        if part := form.object(raw, key, at):
            embed[key] = _person(form, part, f"{at}.{key}", named=named, most=most, resolve=resolve)
    fields = [_field(form, one, where) for where, one in form.objects(raw, "fields", at, most=FIELDS_LIMIT)]
    return embed | ({"fields": fields} if fields else {})


def _person(form: Form, raw: Json, at: str, *, named: str, most: int, resolve: Resolve) -> Json:
    """A footer or an author."""
    part: Json = {named: form.text(_trimmed(raw, named), named, at, most=most, required=True)}
    if url := _address(form, raw, "url", at):
        part["url"] = url
    if icon := _address(form, raw, "icon_url", at):
        item = resolve(icon, f"{at}.icon_url")
        part |= {"icon_url": item["url"], "proxy_icon_url": item["proxy_url"]}
    return part


def _field(form: Form, raw: Json, at: str) -> Json:
    return {
        "name": form.text(_trimmed(raw, "name"), "name", at, least=1, most=256, required=True),
        "value": form.text(_trimmed(raw, "value"), "value", at, least=1, most=1024, required=True),
        "inline": form.flag(raw, "inline", at),
    }


def _trimmed(raw: Json, key: str) -> Json:
    value = raw.get(key)
    return {key: value.strip()} if isinstance(value, str) else {key: value}


def _address(form: Form, raw: Json, key: str, at: str) -> str:
    url = form.text(raw, key, at, most=2048)
    if url and not url.lower().startswith(SCHEMES):
        form.fail(f"{at}.{key}", "URL_TYPE_INVALID_SCHEME", f"Scheme \"{url[:20]}\" must be one of ('http', 'https').")
    return url


def _timestamp(form: Form, raw: Json, at: str) -> str:
    text = form.text(raw, "timestamp", at, most=64)
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        form.fail(f"{at}.timestamp", "DATE_TIME_TYPE_PARSE", f"Could not parse {text[:40]}. Should be ISO8601.")
        return ""


def _length(embed: Json) -> int:
    texts = [embed.get("title", ""), embed.get("description", "")]
    texts += [embed.get("footer", {}).get("text", ""), embed.get("author", {}).get("name", "")]
    texts += [text for field in embed.get("fields", ()) for text in (field["name"], field["value"])]
    return sum(len(text) for text in texts)


def texts(embed: Json) -> list[str]:
    """What a reader sees of an embed, from top to bottom."""
    found = [embed.get("author", {}).get("name"), embed.get("title"), embed.get("description")]
    for field in embed.get("fields", ()):
        found += [field["name"], field["value"]]
    found.append(embed.get("footer", {}).get("text"))
    return [text for text in found if text]

"""Each limit of Discord that a body can break, by name: what just fits, what is one too many, and the form error.

Sources of the numbers: Discord's documentation ("Message", "Component Reference", "Application Commands", "Receiving
and Responding"); the one that stands in no page of it says so.
"""

import itertools
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
V2 = 1 << 15
NUMBERS = itertools.count()


@dataclass(frozen=True)
class Row:
    """One limit. `fits` and `over` are bodies; `at` is the dotted place of the form error and its code."""

    name: str
    fits: Json
    over: Json
    at: str
    code: str = "BASE_TYPE_BAD_LENGTH"


def embeds(**parts: object) -> Json:
    return {"embeds": [parts]}


def text(length: int) -> str:
    return "x" * length


def of_length(total: int, *, around: str = "") -> Json:
    """Embeds whose characters are so many together, in every part that counts."""
    first = {
        "title": text(256),
        "footer": {"text": text(2048)},
        "author": {"name": text(256)},
        "fields": [{"name": text(256), "value": text(1024)}],
    }
    rest = total - (256 + 2048 + 256 + 256 + 1024)
    return {"embeds": [first, {"description": around + text(rest) + around}]}


def fields(count: int) -> Json:
    return embeds(fields=[{"name": "n", "value": "v"}] * count)


def buttons(count: int, **more: object) -> Json:
    return {"type": 1, "components": [button(**more) for _ in range(count)]}


def button(**more: object) -> Json:
    return {"type": 2, "style": 1, "label": "x", "custom_id": f"b{next(NUMBERS)}"} | more


def link(url: str) -> Json:
    return {"components": [{"type": 1, "components": [{"type": 2, "style": 5, "label": "x", "url": url}]}]}


def select(**more: object) -> Json:
    options = [{"label": "a", "value": "a"}]
    return {"type": 3, "custom_id": f"s{next(NUMBERS)}", "options": options} | more


def selects(**more: object) -> Json:
    return {"components": [{"type": 1, "components": [select(**more)]}]}


def option(**more: object) -> Json:
    return selects(options=[{"label": "a", "value": "a"} | more])


def options(count: int) -> list[Json]:
    return [{"label": f"o{n}", "value": f"o{n}"} for n in range(count)]


def v2(*components: Json) -> Json:
    return {"flags": V2, "components": list(components)}


def display(content: str) -> Json:
    return {"type": 10, "content": content}


def section(texts: int) -> Json:
    return v2({"type": 9, "components": [display("x")] * texts, "accessory": button()})


def gallery(items: int) -> Json:
    return v2({"type": 12, "items": [{"media": {"url": "https://example.invalid/a.png"}}] * items})


TEXT_END = "BASE_TYPE_MAX_LENGTH"
MESSAGES = [
    Row("content", {"content": text(2000)}, {"content": text(2001)}, "content", TEXT_END),
    Row("embeds", {"embeds": [{"title": "x"}] * 10}, {"embeds": [{"title": "x"}] * 11}, "embeds"),
    Row("embed title", embeds(title=text(256)), embeds(title=text(257)), "embeds.0.title", TEXT_END),
    Row("embed text", embeds(description=text(4096)), embeds(description=text(4097)), "embeds.0.description", TEXT_END),
    Row("embed fields", fields(25), fields(26), "embeds.0.fields"),
    Row(
        "embed field name",
        embeds(fields=[{"name": text(256), "value": "v"}]),
        embeds(fields=[{"name": text(257), "value": "v"}]),
        "embeds.0.fields.0.name",
    ),
    Row(
        "embed field value",
        embeds(fields=[{"name": "n", "value": text(1024)}]),
        embeds(fields=[{"name": "n", "value": text(1025)}]),
        "embeds.0.fields.0.value",
    ),
    Row(
        "embed footer",
        embeds(footer={"text": text(2048)}),
        embeds(footer={"text": text(2049)}),
        "embeds.0.footer.text",
        TEXT_END,
    ),
    Row(
        "embed author",
        embeds(author={"name": text(256)}),
        embeds(author={"name": text(257)}),
        "embeds.0.author.name",
        TEXT_END,
    ),
    Row("sum over all embeds", of_length(6000), of_length(6001), "embeds", "MAX_EMBED_SIZE_EXCEEDED"),
    Row(
        "sum over all embeds, trimmed",
        of_length(6000, around="  "),
        of_length(6001, around="  "),
        "embeds",
        "MAX_EMBED_SIZE_EXCEEDED",
    ),
    Row(
        "action rows",
        {"components": [buttons(1) for _ in range(5)]},
        {"components": [buttons(1) for _ in range(6)]},
        "components",
    ),
    Row("buttons a row", {"components": [buttons(5)]}, {"components": [buttons(6)]}, "components.0.components"),
    Row(
        "selects a row",
        {"components": [{"type": 1, "components": [select()]}]},
        {"components": [{"type": 1, "components": [select(), select()]}]},
        "components.0.components",
        "COMPONENT_LAYOUT_WIDTH_EXCEEDED",
    ),
    Row(
        "custom id",
        {"components": [buttons(1, custom_id=text(100))]},
        {"components": [buttons(1, custom_id=text(101))]},
        "components.0.components.0.custom_id",
    ),
    Row(
        "custom id, only one of a kind",
        {"components": [buttons(2)]},
        {"components": [buttons(2, custom_id="same")]},
        "components.0.components.1.custom_id",
        "COMPONENT_CUSTOM_ID_DUPLICATED",
    ),
    Row(
        "button label",
        {"components": [buttons(1, label=text(80))]},
        {"components": [buttons(1, label=text(81))]},
        "components.0.components.0.label",
        TEXT_END,
    ),
    Row("button address", link("https://x.invalid/".ljust(512, "x")), link("https://x.invalid/".ljust(513, "x")),
        "components.0.components.0.url"),
    Row("select options", selects(options=options(25)), selects(options=options(26)),
        "components.0.components.0.options"),
    Row("option label", option(label=text(100)), option(label=text(101)), "components.0.components.0.options.0.label"),
    Row("option value", option(value=text(100)), option(value=text(101)), "components.0.components.0.options.0.value"),
    Row("option description", option(description=text(100)), option(description=text(101)),
        "components.0.components.0.options.0.description", TEXT_END),
    Row("select placeholder", selects(placeholder=text(150)), selects(placeholder=text(151)),
        "components.0.components.0.placeholder", TEXT_END),
    Row("components of a layout", v2(*[display("x")] * 40), v2(*[display("x")] * 41), "components"),
    Row(
        "components of a layout, nested ones included",
        v2({"type": 17, "components": [display("x")] * 39}),
        v2({"type": 17, "components": [display("x")] * 40}),
        "components",
        "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED",
    ),
    Row("one text of a layout", v2(display(text(4000))), v2(display(text(4001))), "components.0.content"),
    Row(
        "all text of a layout (in no page)",
        v2(display(text(2000)), display(text(2000))),
        v2(display(text(2000)), display(text(2001))),
        "components",
        "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED",
    ),
    Row("texts of a section", section(3), section(4), "components.0.components"),
    Row("items of a gallery", gallery(10), gallery(11), "components.0.items"),
    Row(
        "a layout has no content",
        v2(display("x")),
        v2(display("x")) | {"content": "x"},
        "content",
        "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
    ),
    Row(
        "a layout has no embed",
        v2(display("x")),
        v2(display("x")) | embeds(title="x"),
        "embeds",
        "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
    ),
    Row(
        "nonce",
        {"content": "x", "nonce": text(25)},
        {"content": "x", "nonce": text(26)},
        "nonce",
        "NONCE_TYPE_TOO_LONG",
    ),
]  # fmt: skip


# -- answers to interactions ------------------------------------------------------------------------------------------


def modal(*components: Json, **more: object) -> Json:
    shown = components or (labelled(typed()),)
    return {"custom_id": "m", "title": "T", "components": list(shown)} | more


def labelled(component: Json, **more: object) -> Json:
    return {"type": 18, "label": "L", "component": component} | more


def typed(**more: object) -> Json:
    return {"type": 4, "custom_id": f"t{next(NUMBERS)}", "style": 1} | more


def upload(**more: object) -> Json:
    return {"type": 19, "custom_id": f"u{next(NUMBERS)}"} | more


FIELD = "data.components.0.component"
MODALS = [
    Row("modal title", modal(title=text(45)), modal(title=text(46)), "data.title"),
    Row("modal custom id", modal(custom_id=text(100)), modal(custom_id=text(101)), "data.custom_id"),
    Row(
        "fields of a modal",
        modal(*[labelled(typed()) for _ in range(5)]),
        modal(*[labelled(typed()) for _ in range(6)]),
        "data.components",
    ),
    Row(
        "label",
        modal(labelled(typed(), label=text(45))),
        modal(labelled(typed(), label=text(46))),
        "data.components.0.label",
    ),
    Row(
        "label description",
        modal(labelled(typed(), description=text(100))),
        modal(labelled(typed(), description=text(101))),
        "data.components.0.description",
        TEXT_END,
    ),
    Row(
        "what can be typed",
        modal(labelled(typed(max_length=4000))),
        modal(labelled(typed(max_length=4001))),
        f"{FIELD}.max_length",
        "NUMBER_TYPE_MAX",
    ),
    Row(
        "what is typed already",
        modal(labelled(typed(value=text(4000)))),
        modal(labelled(typed(value=text(4001)))),
        f"{FIELD}.value",
        TEXT_END,
    ),
    Row(
        "placeholder of a text input",
        modal(labelled(typed(placeholder=text(100)))),
        modal(labelled(typed(placeholder=text(101)))),
        f"{FIELD}.placeholder",
        TEXT_END,
    ),
    Row(
        "files of an upload",
        modal(labelled(upload(max_values=10))),
        modal(labelled(upload(max_values=11))),
        f"{FIELD}.max_values",
        "NUMBER_TYPE_MAX",
    ),
    Row(
        "options of a select in a modal",
        modal(labelled(select(options=options(25)))),
        modal(labelled(select(options=options(26)))),
        f"{FIELD}.options",
    ),
]
CHOICES = [
    Row(
        "choices",
        {"choices": [{"name": "n", "value": "v"}] * 25},
        {"choices": [{"name": "n", "value": "v"}] * 26},
        "data.choices",
    ),
    Row(
        "name of a choice",
        {"choices": [{"name": text(100), "value": "v"}]},
        {"choices": [{"name": text(101), "value": "v"}]},
        "data.choices.0.name",
    ),
    Row(
        "value of a choice",
        {"choices": [{"name": "n", "value": text(100)}]},
        {"choices": [{"name": "n", "value": text(101)}]},
        "data.choices.0.value",
    ),
]


# -- commands ---------------------------------------------------------------------------------------------------------


def slash(**more: object) -> Json:
    return {"name": "x", "description": "x"} | more


def with_option(**more: object) -> Json:
    return slash(options=[{"type": 3, "name": "o", "description": "x"} | more])


def choices(count: int, *, length: int = 1) -> list[Json]:
    return [{"name": f"{n:02}".ljust(length, "x"), "value": f"v{n}"} for n in range(count)]


def counted(option: Json) -> int:
    inner = sum(len(one["name"]) + len(one["value"]) for one in option["choices"])
    return len(option["name"]) + len(option["description"]) + inner


def of_length_8000(surplus: int) -> Json:
    """A command whose names, descriptions and values are 8,000 characters, and some more."""
    found = [
        {"type": 3, "name": f"o{n}", "description": text(100), "choices": choices(25, length=75)} for n in range(3)
    ]
    last: Json = {"type": 3, "name": "last", "description": "x", "choices": []}
    left = 8000 + surplus - 2 - sum(map(counted, found)) - counted(last)
    while left:
        size = left if left <= 190 else min(190, left - 5)
        value = f"{len(last['choices']):02}".ljust(size - size // 2, "v")
        last["choices"].append({"name": text(size // 2), "value": value})
        left -= size
    return slash(options=[*found, last])


COMMANDS = [
    Row("command name", slash(name=text(32)), slash(name=text(33)), "name"),
    Row("command name in lower case", slash(name="ab"), slash(name="aB"), "name", "APPLICATION_COMMAND_INVALID_NAME"),
    Row("command description", slash(description=text(100)), slash(description=text(101)), "description"),
    Row(
        "command options",
        slash(options=[{"type": 3, "name": f"o{n}", "description": "x"} for n in range(25)]),
        slash(options=[{"type": 3, "name": f"o{n}", "description": "x"} for n in range(26)]),
        "options",
    ),
    Row("option name", with_option(name=text(32)), with_option(name=text(33)), "options.0.name"),
    Row("choices", with_option(choices=choices(25)), with_option(choices=choices(26)), "options.0.choices"),
    Row(
        "characters of a command",
        of_length_8000(0),
        of_length_8000(1),
        "name",
        "APPLICATION_COMMAND_TOO_LARGE",
    ),
    Row(
        "translations",
        slash(name_localizations={"de": text(32)}),
        slash(name_localizations={"de": text(33)}),
        "name_localizations.de",
    ),
    Row(
        "locales",
        slash(description_localizations={"de": "x"}),
        slash(description_localizations={"xx": "x"}),
        "description_localizations.xx",
        "ENUM_TYPE_COERCE",
    ),
    Row("contexts", slash(contexts=[0, 1, 2]), slash(contexts=[3]), "contexts.0", "BASE_TYPE_CHOICES"),
]

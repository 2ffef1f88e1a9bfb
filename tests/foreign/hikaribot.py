"""A small bot on an unmodified hikari: does on each command one thing that a bot does, and says what it saw, one JSON
line a step. Address and token come by the environment and go in by the client's public options.

Runs in hikari's own environment: nothing of this project is imported here.
"""

import asyncio
import json
import os
import sys
import time

import hikari
from hikari import ButtonStyle, CommandOption, MessageFlag, OptionType, ResponseType

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000002000000030806000000b9ead8810000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082"
)
GUILD = int(os.environ["GUILD"])
ANSWER, DEFER = ResponseType.MESSAGE_CREATE, ResponseType.DEFERRED_MESSAGE_CREATE

bot = hikari.GatewayBot(
    os.environ["TOKEN"],
    rest_url=os.environ["API"],
    intents=hikari.Intents.GUILDS | hikari.Intents.GUILD_MESSAGES | hikari.Intents.GUILD_MESSAGE_REACTIONS,
    banner=None,
    logs="WARNING",
)


def say(step: str, **more: object) -> None:
    print(json.dumps({"step": step, **more}), flush=True)


@bot.listen()
async def broke(event: hikari.ExceptionEvent) -> None:
    say("broke", what=repr(event.exception))


@bot.listen()
async def gone(_: hikari.ShardDisconnectedEvent) -> None:
    say("disconnected")


@bot.listen()
async def resumed(_: hikari.ShardResumedEvent) -> None:
    say("resumed")


@bot.listen()
async def started(_: hikari.StartedEvent) -> None:
    rest, me = bot.rest, bot.get_me()
    while bot.cache.get_guild(GUILD) is None:
        await asyncio.sleep(0.01)
    guild = bot.cache.get_guild(GUILD)
    say(
        "login",
        version=hikari.__version__,
        user=me.username,
        guild=guild.name,
        channels=sorted(one.name for one in guild.get_channels().values()),
        roles=sorted(one.name for one in guild.get_roles().values()),
    )

    def slash(name: str, *options: CommandOption):
        command = rest.slash_command_builder(name, "does a thing")
        for option in options:
            command.add_option(option)
        return command

    def option(name: str, kind: OptionType, **more: object) -> CommandOption:
        return CommandOption(type=kind, name=name, description="x", **more)

    registered = await rest.set_application_commands(
        me.id,
        [
            slash("ping"),
            slash(
                "deploy",
                option("service", OptionType.STRING, is_required=True, autocomplete=True),
                option("count", OptionType.INTEGER, min_value=1, max_value=5),
                option("who", OptionType.USER),
                option("role", OptionType.ROLE),
                option("where", OptionType.CHANNEL),
                option("file", OptionType.ATTACHMENT),
            ),
            slash("card"),
            slash("why"),
            slash("thread"),
            slash("react"),
            slash("burst", option("times", OptionType.INTEGER, is_required=True)),
            slash("wrong"),
            rest.context_menu_command_builder(hikari.CommandType.MESSAGE, "Quote"),
            rest.context_menu_command_builder(hikari.CommandType.USER, "Who is it"),
        ],
        guild=GUILD,
    )
    say("commands", names=sorted(one.name for one in registered))


def rows() -> list:
    buttons = bot.rest.build_message_action_row()
    buttons.add_interactive_button(ButtonStyle.SUCCESS, "approve:1", label="Approve")
    buttons.add_interactive_button(ButtonStyle.DANGER, "deny:1", label="Deny", is_disabled=True)
    buttons.add_link_button("https://example.invalid/logs", label="Logs")
    menu = bot.rest.build_message_action_row()
    text = menu.add_text_menu("more", placeholder="More")
    text.add_option("Show logs", "logs").add_option("Retry", "retry", description="again")
    people = bot.rest.build_message_action_row()
    people.add_select_menu(hikari.ComponentType.USER_SELECT_MENU, "whom", placeholder="Whom")
    return [buttons, menu, people]


async def ping(i: hikari.CommandInteraction) -> None:
    await i.create_initial_response(ANSWER, "pong", flags=MessageFlag.EPHEMERAL)


async def deploy(i: hikari.CommandInteraction) -> None:
    await i.create_initial_response(DEFER)
    given = {one.name: one.value for one in i.options or ()}
    found = i.resolved
    size = 0
    if "file" in given:
        size = len(await found.attachments[given["file"]].read())
    embed = hikari.Embed(title="Deploy", description="on its way").set_image(hikari.Bytes(PNG, "chart.png"))
    embed.add_field("Service", given["service"], inline=True)
    message = await i.edit_initial_response(embed=embed, components=rows())
    image = message.embeds[0].image
    say(
        "edited",
        service=given["service"],
        count=given.get("count"),
        who=found.members[given["who"]].username if "who" in given else None,
        role=found.roles[given["role"]].name if "role" in given else None,
        where=found.channels[given["where"]].name if "where" in given else None,
        bytes=size,
        embed=message.embeds[0].title,
        image=image is not None,
        width=image.width,
        drawn=await image.read() == PNG,
        components=[len(row.components) for row in message.components],
        author=message.author.id == bot.get_me().id,
    )
    extra = await i.execute("a follow-up", flags=MessageFlag.EPHEMERAL)
    await i.edit_message(extra, "changed")
    await i.delete_message(extra)
    say("followed", edited=(await i.fetch_initial_response()).id == message.id)


async def card(i: hikari.CommandInteraction) -> None:
    rest = bot.rest
    button = hikari.impl.InteractiveButtonBuilder(style=ButtonStyle.PRIMARY, custom_id="go", label="Go")
    section = hikari.impl.SectionComponentBuilder(accessory=button)
    section.add_text_display("in a section")
    box = hikari.impl.ContainerComponentBuilder(accent_color=hikari.Color(0xFF0000))
    box.add_text_display("# DEPLOY")
    box.add_separator()
    box.add_component(section)
    gallery = hikari.impl.MediaGalleryComponentBuilder()
    gallery.add_media_gallery_item(hikari.Bytes(PNG, "chart.png"))
    box.add_component(gallery)
    box.add_component(rows()[0])
    await i.create_initial_response(ANSWER, component=box, flags=MessageFlag.IS_COMPONENTS_V2)
    message = await i.fetch_initial_response()
    shown = message.components[0]
    say(
        "card",
        v2=bool(message.flags & MessageFlag.IS_COMPONENTS_V2),
        kinds=[int(one.type) for one in shown.components],
        accent=int(shown.accent_color),
        picture=shown.components[3].items[0].media.url.startswith("http"),
        content=message.content or "",
        again=len((await rest.fetch_message(message.channel_id, message.id)).components),
    )


async def why(i: hikari.CommandInteraction) -> None:
    row = bot.rest.build_modal_action_row()
    row.add_text_input("reason", "Reason", style=hikari.TextInputStyle.PARAGRAPH, min_length=3)
    await i.create_modal_response("Why?", f"why:{i.id}", component=row)


async def code_of(attempt) -> int | str:
    try:
        await attempt
    except hikari.ClientHTTPResponseError as error:
        return int(error.code)
    return "taken"


async def thread(i: hikari.CommandInteraction) -> None:
    await i.create_initial_response(ANSWER, "a card")
    card = await i.fetch_initial_response()
    started = await bot.rest.create_message_thread(card.channel_id, card.id, "log of it", auto_archive_duration=60)
    line = await started.send("line 1")
    await line.edit("line one")
    await bot.rest.edit_channel(started.id, archived=True)
    late = await code_of(line.edit("late"))
    again = await code_of(bot.rest.create_message_thread(card.channel_id, card.id, "again"))
    woken = await bot.rest.edit_channel(started.id, archived=False)
    parent = bot.cache.get_guild_channel(started.parent_id)
    say(
        "thread",
        same=started.id == card.id,
        parent=parent.name,
        late=late,
        again=again,
        archived=woken.is_archived,
    )


async def react(i: hikari.CommandInteraction) -> None:
    await i.create_initial_response(DEFER, flags=MessageFlag.EPHEMERAL)
    message = await bot.rest.create_message(i.channel_id, "react to this")
    await message.add_reaction("✅")
    await message.add_reaction("🚢")
    users = [one.username async for one in bot.rest.fetch_reactions_for_emoji(i.channel_id, message.id, "✅")]
    await message.remove_reaction("🚢")
    fetched = await bot.rest.fetch_message(i.channel_id, message.id)
    kept = [[one.emoji.name, one.count, one.is_me] for one in fetched.reactions]
    say("reacted", users=users, kept=kept, message=str(message.id))
    await i.edit_initial_response("done")


async def burst(i: hikari.CommandInteraction) -> None:
    await i.create_initial_response(ANSWER, "posting", flags=MessageFlag.EPHEMERAL)
    times = i.options[0].value
    began = time.monotonic()
    sent = await asyncio.gather(*(bot.rest.create_message(i.channel_id, f"post {n}") for n in range(times)))
    say("burst", sent=len(sent), took=round((time.monotonic() - began) * 1000))


async def wrong(i: hikari.CommandInteraction) -> None:
    codes = {"form": await code_of(i.create_initial_response(ANSWER, "x" * 2001))}
    await i.create_initial_response(ANSWER, "one", flags=MessageFlag.EPHEMERAL)
    codes["twice"] = await code_of(bot.rest.create_interaction_response(i.id, i.token, ANSWER, "two"))
    codes["channel"] = await code_of(bot.rest.fetch_channel(1))
    codes["empty"] = await code_of(bot.rest.create_message(i.channel_id, ""))
    say("wrong", codes=codes)


async def quote(i: hikari.CommandInteraction) -> None:
    message = i.resolved.messages[i.target_id]
    await i.create_initial_response(ANSWER, f"it says {message.content}", flags=MessageFlag.EPHEMERAL)


async def who_is_it(i: hikari.CommandInteraction) -> None:
    member = i.resolved.members[i.target_id]
    names = {one.id: one.name for one in bot.cache.get_roles_view_for_guild(GUILD).values()}
    await i.create_initial_response(ANSWER, f"{member.username} {','.join(sorted(names[r] for r in member.role_ids))}")


ACTS = {
    "ping": ping,
    "deploy": deploy,
    "card": card,
    "why": why,
    "thread": thread,
    "react": react,
    "burst": burst,
    "wrong": wrong,
    "Quote": quote,
    "Who is it": who_is_it,
}


async def used(i: hikari.ComponentInteraction) -> None:
    match i.component_type:
        case hikari.ComponentType.BUTTON:
            await i.create_initial_response(
                ResponseType.MESSAGE_UPDATE,
                f"{i.custom_id} by {i.member.display_name}",
                embeds=[],
                components=[],
                attachments=None,
            )
            allowed = bool(i.member.permissions & hikari.Permissions.SEND_MESSAGES)
            say("pressed", id=i.custom_id, allowed=allowed, on=str(i.message.id))
        case hikari.ComponentType.TEXT_SELECT_MENU:
            await i.create_initial_response(ResponseType.DEFERRED_MESSAGE_UPDATE)
            await i.execute(f"picked {','.join(i.values)}", flags=MessageFlag.EPHEMERAL)
            say("picked", values=list(i.values))
        case _:
            names = ",".join(one.username for one in i.resolved.users.values())
            await i.create_initial_response(ANSWER, f"whom {names}", flags=MessageFlag.EPHEMERAL)


@bot.listen()
async def interaction(event: hikari.InteractionCreateEvent) -> None:
    match event.interaction:
        case hikari.CommandInteraction() as i:
            await ACTS[i.command_name](i)
        case hikari.ComponentInteraction() as i:
            await used(i)
        case hikari.AutocompleteInteraction() as i:
            typed = next(str(one.value) for one in i.options if one.is_focused)
            names = [name for name in ("app", "bot") if typed in name]
            await i.create_response([hikari.impl.AutocompleteChoiceBuilder(name.upper(), name) for name in names])
        case hikari.ModalInteraction() as i:
            reason = i.components[0].components[0].value
            await i.create_initial_response(ANSWER, f"{reason} / - / ", flags=MessageFlag.EPHEMERAL)
            say("submitted", own=i.custom_id.startswith("why:"))


@bot.listen()
async def reaction(event: hikari.GuildReactionAddEvent) -> None:
    say("reaction", emoji=str(event.emoji_name), by=str(event.user_id))


async def until_told() -> None:
    """Run until standard input ends."""
    await bot.start()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await bot.close()
    say("ended")


asyncio.run(until_told())

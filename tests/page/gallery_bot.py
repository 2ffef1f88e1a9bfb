"""A bot that only shows things: every kind of component and of modal field, threads, typing, files, silence.

`python -m tests.page.gallery_bot run --config FILE` is started in place of `python -m bot`, so that the page can be
tried against all that Discord's bots may send, and not only against what ours does.
"""

import asyncio
import io
import os
import struct
import sys
import tomllib
import zlib
from pathlib import Path
from typing import Any

import discord
import yarl
from discord import app_commands, ui

HOLD_S = 1.5
"""So long an answer to a press in the crowd takes."""
CROWD = 25
FRUIT = [
    discord.SelectOption(label="Apple", value="apple", description="From the near orchard"),
    discord.SelectOption(label="Pear", value="pear"),
    discord.SelectOption(label="Plum", value="plum", emoji="🟣"),
]


def picture(colour: tuple[int, int, int], size: int = 48) -> io.BytesIO:
    """A plain PNG of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(colour) * size for _ in range(size))
    head = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + body)


def files() -> list[discord.File]:
    return [
        discord.File(picture((200, 60, 60)), "red.png", description="A red square"),
        discord.File(picture((60, 60, 200)), "blue.png", description="A blue square"),
        discord.File(io.BytesIO(b"all is well\n"), "report.txt"),
    ]


async def say(interaction: discord.Interaction, words: str) -> None:
    await interaction.response.send_message(words, ephemeral=True)


class Echo(ui.Button[Any]):
    """A button that tells its own label."""

    async def callback(self, interaction: discord.Interaction) -> None:
        await say(interaction, f"Pressed {self.label}")


def _picked(kind: type[Any], name: str, **more: Any) -> Any:
    """A select that tells what was picked in it."""

    class Picked(kind):
        async def callback(self, interaction: discord.Interaction) -> None:
            names = [str(getattr(value, "name", value)) for value in self.values]
            await say(interaction, f"{name}: {', '.join(sorted(names))}")

    return Picked(placeholder=name, custom_id=name, **more)


class Everything(ui.LayoutView):
    """One message with every kind of component that a message may hold."""

    def __init__(self) -> None:
        super().__init__(timeout=None)
        red, blue = ui.Thumbnail("attachment://red.png", description="A red square"), "attachment://blue.png"
        gallery = ui.MediaGallery(discord.MediaGalleryItem("attachment://red.png", description="Red, in a gallery"))
        gallery.add_item(media=blue, description="Blue, in a gallery")
        self.add_item(
            ui.Container(
                ui.TextDisplay("## Everything\nA **container** with an accent, seen <t:1700000000:R>"),
                ui.Section("A section with a picture", accessory=red),
                ui.Section("A section with a button", accessory=Echo(label="Beside", custom_id="beside")),
                ui.Separator(visible=True, spacing=discord.SeparatorSpacing.large),
                gallery,
                ui.File("attachment://report.txt"),
                ui.ActionRow(
                    Echo(label="Primary", style=discord.ButtonStyle.primary, custom_id="b1"),
                    Echo(label="Secondary", style=discord.ButtonStyle.secondary, custom_id="b2"),
                    Echo(label="Success", style=discord.ButtonStyle.success, custom_id="b3"),
                    Echo(label="Danger", style=discord.ButtonStyle.danger, custom_id="b4"),
                    ui.Button(label="Elsewhere", url="http://127.0.0.1:9/"),
                ),
                accent_colour=discord.Colour(0x3F64DD),
            )
        )
        self.add_item(
            ui.ActionRow(Echo(label="Off", disabled=True, custom_id="off"), Echo(emoji="🔁", custom_id="again"))
        )
        for select in (
            _picked(ui.Select, "Fruit", options=FRUIT, min_values=1, max_values=2),
            _picked(ui.UserSelect, "Member"),
            _picked(ui.RoleSelect, "Role"),
            _picked(ui.MentionableSelect, "Anybody"),
            _picked(ui.ChannelSelect, "Channel", channel_types=[discord.ChannelType.text]),
        ):
            self.add_item(ui.ActionRow(select))


class Crowd(ui.View):
    """So many buttons that take their time to answer."""

    def __init__(self) -> None:
        super().__init__(timeout=None)
        for number in range(CROWD):
            self.add_item(Patient(label=f"Press {number}", custom_id=f"crowd:{number}", row=number // 5))


class Patient(ui.Button[Any]):
    async def callback(self, interaction: discord.Interaction) -> None:
        await asyncio.sleep(HOLD_S)
        await interaction.response.defer()


class Words(ui.Modal, title="Words and choices"):
    """The first half of a modal's fields; a modal holds five."""

    short = ui.Label(text="Short", component=ui.TextInput(placeholder="One line", max_length=40))
    long = ui.Label(
        text="Long", description="As much as you like", component=ui.TextInput(style=discord.TextStyle.paragraph)
    )
    fruit = ui.Label(text="Fruit", component=ui.Select(options=FRUIT, required=True))
    speed = ui.Label(
        text="Speed",
        component=ui.RadioGroup(
            options=[
                discord.RadioGroupOption(label="Slow", value="slow", description="By boat"),
                discord.RadioGroupOption(label="Fast", value="fast"),
            ]
        ),
    )
    extras = ui.Label(
        text="Extras",
        component=ui.CheckboxGroup(
            options=[
                discord.CheckboxGroupOption(label="Salt", value="salt"),
                discord.CheckboxGroupOption(label="Pepper", value="pepper", default=True),
                discord.CheckboxGroupOption(label="Oil", value="oil"),
            ],
            required=False,
            max_values=2,
        ),
    )

    async def on_submit(self, interaction: discord.Interaction) -> None:
        parts = (self.short, self.long, self.fruit, self.speed, self.extras)
        await say(interaction, " | ".join(f"{one.text}={_value(one.component)}" for one in parts))


class Things(ui.Modal, title="People, places, files"):
    """The other half."""

    note = ui.TextDisplay("Everything **here** may be left empty but the file.")
    member = ui.Label(text="Who", component=ui.UserSelect(required=False))
    place = ui.Label(text="Where", component=ui.ChannelSelect(required=False))
    file = ui.Label(text="Evidence", component=ui.FileUpload(max_values=2))
    agree = ui.Label(text="I have read it", component=ui.Checkbox())

    async def on_submit(self, interaction: discord.Interaction) -> None:
        parts = (self.member, self.place, self.file, self.agree)
        await say(interaction, " | ".join(f"{one.text}={_value(one.component)}" for one in parts))


def _value(field: Any) -> str:
    found = field.values if hasattr(field, "values") else field.value
    if isinstance(found, list):
        return ",".join(str(getattr(one, "filename", getattr(one, "name", one))) for one in found)
    return str(found)


class Gallery(discord.Client):
    """The commands."""

    def __init__(self) -> None:
        super().__init__(intents=discord.Intents(guilds=True), guild_ready_timeout=0.05)
        self.tree = app_commands.CommandTree(self)

    async def setup_hook(self) -> None:
        self.tree.add_command(everything)
        for one in (classic, words, things, thread, slow, silent, pick, hidden, crowd, flood, tell):
            self.tree.add_command(one)
        guild = discord.Object(1325000000000000001)
        self.tree.copy_global_to(guild=guild)
        await self.tree.sync(guild=guild)

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """No five seconds between two logins here."""


@app_commands.command(description="A message with every kind of component")
async def everything(interaction: discord.Interaction) -> None:
    await interaction.response.send_message(view=Everything(), files=files())


@app_commands.command(description="An embed of the older kind, edited once")
async def classic(interaction: discord.Interaction) -> None:
    embed = discord.Embed(title="Weather", description="**Fair**, light airs", colour=0x1F7F4C)
    embed.set_author(name="The lighthouse").set_footer(text="Read at noon").set_image(url="attachment://blue.png")
    embed.add_field(name="Wind", value="2 Bft").add_field(name="Sea", value="calm")
    await interaction.response.send_message("Before", embed=embed, file=files()[1])
    await interaction.edit_original_response(content=f"Hello {interaction.user.mention}, after the edit")


@app_commands.command(description="Fields for words and choices")
async def words(interaction: discord.Interaction) -> None:
    await interaction.response.send_modal(Words())


@app_commands.command(description="Fields for people, places and files")
async def things(interaction: discord.Interaction) -> None:
    await interaction.response.send_modal(Things())


@app_commands.command(description="A message with a thread under it")
async def thread(interaction: discord.Interaction) -> None:
    await say(interaction, "A thread is coming.")
    assert isinstance(interaction.channel, discord.TextChannel)
    message = await interaction.channel.send("Talk about it below")
    made = await message.create_thread(name="Below deck")
    await made.send("The first word in the thread")


@app_commands.command(description="Thinks, types, and then answers for you alone")
async def slow(interaction: discord.Interaction) -> None:
    await interaction.response.defer(ephemeral=True, thinking=True)
    assert isinstance(interaction.channel, discord.TextChannel)
    await interaction.channel.typing()
    await asyncio.sleep(HOLD_S)
    await interaction.followup.send("Thought about it")


@app_commands.command(description="Never answers")
async def silent(interaction: discord.Interaction) -> None:
    """Nothing: that is what it is for."""


@app_commands.command(description="Options of several kinds")
@app_commands.describe(size="How large", ship="Which ship", count="How many", who="For whom", paper="What it says")
@app_commands.choices(size=[app_commands.Choice(name="Small", value="s"), app_commands.Choice(name="Large", value="l")])
async def pick(
    interaction: discord.Interaction,
    size: app_commands.Choice[str],
    ship: str,
    count: app_commands.Range[int, 1, 9] = 1,
    who: discord.Member | None = None,
    paper: discord.Attachment | None = None,
) -> None:
    words = [size.name, ship, str(count), who.name if who else "nobody", paper.filename if paper else "no paper"]
    await say(interaction, " | ".join(words))


@pick.autocomplete("ship")
async def ships(_interaction: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
    fleet = ("Albatross", "Alcyone", "Beagle", "Calypso")
    return [app_commands.Choice(name=one, value=one.lower()) for one in fleet if typed.lower() in one.lower()]


@app_commands.command(description="For those who run the server")
@app_commands.default_permissions(administrator=True)
async def hidden(interaction: discord.Interaction) -> None:
    await say(interaction, "You may.")


@app_commands.command(description="A hundred buttons")
async def crowd(interaction: discord.Interaction) -> None:
    await say(interaction, "Here they come.")
    assert isinstance(interaction.channel, discord.TextChannel)
    for number in range(4):
        await interaction.channel.send(f"Crowd {number}", view=Crowd())


@app_commands.command(description="So many messages")
async def flood(interaction: discord.Interaction, count: int) -> None:
    await say(interaction, "Here they come.")
    assert isinstance(interaction.channel, discord.TextChannel)
    for number in range(count):
        await interaction.channel.send(f"Message **{number}** of {count}, seen <t:1700000000:R>")


@app_commands.command(description="Says it in the channel")
async def tell(interaction: discord.Interaction, words: str) -> None:
    assert isinstance(interaction.channel, discord.TextChannel)
    await interaction.channel.send(words)
    await interaction.response.send_message("Said.", ephemeral=True)


def main() -> None:
    """Run until SIGTERM, as the bot would."""
    config = tomllib.loads(Path(sys.argv[sys.argv.index("--config") + 1]).read_text(encoding="utf-8"))
    discord.http.Route.BASE = config["discord"]["api_url"].rstrip("/")
    discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(config["discord"]["gateway_url"])
    Gallery().run(os.environ["QUARTERDECK_DISCORD_TOKEN"], log_handler=None)


if __name__ == "__main__":
    main()

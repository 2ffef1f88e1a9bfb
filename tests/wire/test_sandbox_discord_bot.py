"""An unmodified discord.py bot against the sandbox's Discord: login, commands, answers, components, threads, files."""

import asyncio
import io
import re

import discord
import pytest
from discord import app_commands, ui

from bot.sandbox import cast
from bot.sandbox.wire import Missing, Rejected
from tests.wire.discord_world import SmallBot, discord_part, ran, running, settled, until

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000002000000030806000000b9ead8810000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082"
)


@pytest.fixture
async def part(tmp_path):
    async with discord_part(tmp_path / "discord") as part:
        yield part


class Vote(ui.DynamicItem[ui.Button], template=r"vote:(?P<what>\w+)"):
    """A persistent button that nothing in memory belongs to."""

    def __init__(self, what: str) -> None:
        super().__init__(ui.Button(label=what.title(), custom_id=f"vote:{what}", style=discord.ButtonStyle.success))
        self.what = what

    @classmethod
    async def from_custom_id(cls, interaction, item, match: re.Match):
        return cls(match["what"])

    async def callback(self, interaction: discord.Interaction) -> None:
        await interaction.response.edit_message(content=f"{self.what} by {interaction.user.name}", view=None)


class Reason(ui.Modal, title="Why?"):
    why = ui.Label(text="Reason", component=ui.TextInput(style=discord.TextStyle.paragraph, min_length=3))
    how_bad = ui.Label(
        text="Severity",
        component=ui.Select(options=[discord.SelectOption(label="Low"), discord.SelectOption(label="High")]),
    )

    async def on_submit(self, interaction: discord.Interaction) -> None:
        text = f"{self.why.component.value} / {self.how_bad.component.values[0]}"
        await interaction.response.send_message(text, ephemeral=True)


def button_view() -> ui.View:
    view = ui.View(timeout=None)
    view.add_item(Vote("approve"))
    view.add_item(ui.Button(label="Logs", url="https://example.invalid/logs"))
    view.add_item(ui.Button(label="Off", custom_id="off", disabled=True))
    return view


def talkative() -> SmallBot:
    """A bot with one command of every kind that the tests need."""
    bot = SmallBot()
    bot.add_dynamic_items(Vote)

    @bot.tree.command(description="Answers at once")
    async def ping(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("pong", ephemeral=True)

    @bot.tree.command(description="Answers later")
    @app_commands.describe(service="which", environment="where", count="how many")
    @app_commands.choices(environment=[app_commands.Choice(name=name, value=name) for name in ("dev", "prod")])
    async def deploy(
        interaction: discord.Interaction,
        service: str,
        environment: str = "dev",
        count: app_commands.Range[int, 1, 5] = 1,
    ) -> None:
        await interaction.response.defer(ephemeral=True)
        await interaction.followup.send(f"{service} to {environment} x{count}", ephemeral=True)

    @deploy.autocomplete("service")
    async def services(interaction: discord.Interaction, current: str):
        return [app_commands.Choice(name=name.upper(), value=name) for name in ("app", "bot") if current in name]

    @bot.tree.command(description="Posts a card")
    async def card(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("a card", view=button_view())

    @bot.tree.command(description="Asks why")
    async def why(interaction: discord.Interaction) -> None:
        await interaction.response.send_modal(Reason(custom_id=f"reason:{interaction.id}"))

    group = app_commands.Group(name="ops", description="Operations")

    @group.command(name="list", description="All of them")
    async def listed(interaction: discord.Interaction, who: discord.Member | None = None) -> None:
        name = who.name if who else "nobody"
        roles = sorted(role.name for role in interaction.user.roles)
        await interaction.response.send_message(f"{name} {roles}", ephemeral=True)

    bot.tree.add_command(group)
    return bot


@pytest.fixture
async def bot(part):
    async with running(talkative(), part) as bot:
        yield bot


# -- login and commands -----------------------------------------------------------------------------------------------


async def test_a_bot_logs_in_and_sees_the_server_and_itself(part, bot):
    guild = bot.get_guild(cast.GUILD_ID)
    assert (guild.name, bot.user.name, bot.application_id) == (cast.GUILD_NAME, cast.BOT_NAME, cast.APPLICATION_ID)
    assert {channel.name for channel in guild.text_channels} == set(cast.CHANNELS)
    assert {role.name for role in guild.roles} == {"@everyone", "owner", "sre", "dev", cast.BOT_NAME}
    assert part.bot_connected()
    assert (await bot.application_info()).owner.name == "owner"


async def test_a_wrong_token_is_refused_at_login(part):
    with pytest.raises(discord.LoginFailure):
        await SmallBot().login(cast.new_discord_token())


async def test_members_come_by_rest_with_their_present_roles(part, bot):
    part.set_roles("guest", ["dev"])
    member = await bot.get_guild(cast.GUILD_ID).fetch_member(cast.PEOPLE[5].id)
    assert [role.name for role in member.roles] == ["@everyone", "dev"]
    with pytest.raises(discord.NotFound) as refused:
        await bot.get_guild(cast.GUILD_ID).fetch_member(1325000000000000999)
    assert refused.value.code == 10007


async def test_synced_commands_stand_in_the_state_with_subcommands_by_their_full_name(part, bot):
    shown = {command["name"]: command for command in part.guild_state()["commands"]}
    assert set(shown) == {"ping", "deploy", "card", "why", "ops list"}
    options = {option["name"]: option for option in shown["deploy"]["options"]}
    assert options["service"]["required"] and options["service"]["autocomplete"]
    assert [choice["value"] for choice in options["environment"]["choices"]] == ["dev", "prod"]
    assert (options["count"]["min"], options["count"]["max"]) == (1, 5)


async def test_syncing_again_keeps_the_ids(part, bot):
    first = {one["name"]: one["id"] for one in part.guild_state()["commands"]}
    synced = await bot.tree.sync(guild=bot.guild_here)
    assert {str(one.id) for one in synced} == set(first.values())


async def test_global_commands_are_shown_beside_the_server_s(part, bot):
    bot.tree.add_command(app_commands.Command(name="everywhere", description="x", callback=_nothing))
    await bot.tree.sync()
    assert "everywhere" in {one["name"] for one in part.guild_state()["commands"]}


async def _nothing(interaction: discord.Interaction) -> None:
    await interaction.response.send_message("here")


# -- answers ----------------------------------------------------------------------------------------------------------


async def test_an_ephemeral_answer_is_seen_by_its_member_only(part, bot):
    view = await ran(part, "ping")
    assert (view["state"], view["text"], view["ephemeral"]) == ("answered", "pong", True)
    assert 0 < view["ack_ms"] < 3000
    assert [one["text"] for one in part.messages(channel="ops", user="dev")["messages"]] == ["pong"]
    assert part.messages(channel="ops", user="sre")["messages"] == []
    assert part.messages(channel="ops")["messages"] == []


async def test_a_deferred_answer_is_filled_by_the_first_follow_up(part, bot):
    view = await ran(part, "deploy", "answered", service="app", environment="prod", count=3)
    assert (view["text"], view["ephemeral"], view["followups"]) == ("app to prod x3", True, [])
    (message,) = part.messages(channel="ops", user="dev")["messages"]
    assert (message["id"], message["loading"], message["edits"]) == (view["message"], False, 0)


async def test_an_answer_can_be_edited_fetched_and_deleted(part):
    bot, done = SmallBot(), asyncio.Event()

    @bot.tree.command(description="x")
    async def story(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("one")
        await interaction.edit_original_response(content="two")
        extra = await interaction.followup.send("extra", wait=True)
        assert (await interaction.original_response()).content == "two"
        await extra.edit(content="changed")
        await interaction.followup.send("third")
        await extra.delete()
        done.set()

    async with running(bot, part):
        view = await ran(part, "story")
        await asyncio.wait_for(done.wait(), 5)
        texts = [(one["text"], one["edits"]) for one in part.messages(channel="ops")["messages"]]
        assert texts == [("two", 1), ("third", 0)]
        assert part.interaction(view["id"])["text"] == "two"


async def test_subcommands_arrive_with_resolved_members_and_the_roles_of_who_asks(part, bot):
    view = await ran(part, "ops list", user="owner", who="sre2")
    assert view["text"] == "sre2 ['@everyone', 'owner', 'sre']"


async def test_autocomplete_gives_choices(part, bot):
    asked = {"user": "dev", "channel": "ops", "command": "deploy", "option": "service", "text": "a", "options": {}}
    view = await settled(part, await part.autocomplete(asked))
    assert (view["state"], view["choices"]) == ("choices", [{"name": "APP", "value": "app"}])


# -- components -------------------------------------------------------------------------------------------------------


async def test_a_persistent_button_works_also_after_the_bot_was_started_again(part):
    async with running(talkative(), part):
        card = await ran(part, "card")
    async with running(talkative(), part):
        pressed = await part.component({"user": "sre", "message": card["message"], "label": "Approve"})
        view = await settled(part, pressed)
    assert (view["state"], view["message"], view["text"]) == ("answered", card["message"], "approve by sre")
    (message,) = part.messages(channel="ops")["messages"]
    assert (message["components"], message["edits"]) == ([], 1)


async def test_disabled_and_link_buttons_cannot_be_pressed_and_unknown_ones_are_not_there(part, bot):
    card = (await ran(part, "card"))["message"]
    shown = {one["label"]: one for one in part.messages(channel="ops")["messages"][0]["components"]}
    assert shown["Off"]["disabled"] and shown["Logs"]["url"] and shown["Approve"]["style"] == "success"
    for label in ("Off", "Logs"):
        with pytest.raises(Rejected) as refused:
            await part.component({"user": "sre", "message": card, "label": label})
        assert refused.value.status == 400
    with pytest.raises(Missing):
        await part.component({"user": "sre", "message": card, "label": "Explode"})


async def test_the_components_of_an_ephemeral_message_do_not_exist_for_others(part):
    bot = SmallBot()

    @bot.tree.command(description="x")
    async def secret(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("secret", view=button_view(), ephemeral=True)

    bot.add_dynamic_items(Vote)
    async with running(bot, part):
        message = (await ran(part, "secret"))["message"]
        with pytest.raises(Missing):
            await part.component({"user": "sre", "message": message, "label": "Approve"})
        view = await settled(part, await part.component({"user": "dev", "message": message, "label": "Approve"}))
        assert (view["text"], view["ephemeral"]) == ("approve by dev", True)


class Selects(ui.View):
    """One select of each kind."""

    def __init__(self) -> None:
        super().__init__(timeout=None)
        self.picked: list[object] = []

    @ui.select(
        cls=ui.Select,
        placeholder="More",
        max_values=2,
        options=[
            discord.SelectOption(label="Show logs", value="logs"),
            discord.SelectOption(label="Retry", value="retry"),
        ],
    )
    async def text(self, interaction: discord.Interaction, select: ui.Select) -> None:
        await self._take(interaction, select.values)

    @ui.select(cls=ui.UserSelect, placeholder="Who")
    async def user(self, interaction: discord.Interaction, select: ui.UserSelect) -> None:
        await self._take(interaction, [one.name for one in select.values])

    @ui.select(cls=ui.RoleSelect, placeholder="Role")
    async def role(self, interaction: discord.Interaction, select: ui.RoleSelect) -> None:
        await self._take(interaction, [one.name for one in select.values])

    @ui.select(cls=ui.ChannelSelect, placeholder="Where")
    async def where(self, interaction: discord.Interaction, select: ui.ChannelSelect) -> None:
        await self._take(interaction, [one.name for one in select.values])

    @ui.select(cls=ui.MentionableSelect, placeholder="Anyone", max_values=2)
    async def anyone(self, interaction: discord.Interaction, select: ui.MentionableSelect) -> None:
        await self._take(interaction, [one.name for one in select.values])

    async def _take(self, interaction: discord.Interaction, values: list[str]) -> None:
        self.picked.append(sorted(values))
        await interaction.response.defer()


async def test_selects_of_every_kind_take_values_and_labels(part, bot):
    view = Selects()
    message = await bot.channel("ops").send("pick", view=view)

    async def pick(label, *values):
        body = {"user": "dev", "message": str(message.id), "label": label, "values": list(values)}
        return await settled(part, await part.component(body))

    answered = await pick("More", "Show logs", "retry")
    assert (answered["state"], answered["text"], answered["message"]) == ("answered", "", None)
    await pick("Who", "sre2")
    await pick("Role", "sre")
    await pick("Where", "audit")
    await pick("Anyone", "dev2", "@dev")
    assert view.picked == [["logs", "retry"], ["sre2"], ["sre"], ["audit"], ["dev", "dev2"]]
    for label, values in (("More", ["nothing"]), ("More", []), ("Who", ["sre", "dev"]), ("Who", ["nobody"])):
        with pytest.raises(Rejected):
            await pick(label, *values)


# -- modals -----------------------------------------------------------------------------------------------------------


async def test_a_modal_is_opened_filled_in_and_answered(part, bot):
    opened = await ran(part, "why")
    assert opened["state"] == "modal" and opened["modal"]["title"] == "Why?"
    why, severity = opened["modal"]["fields"]
    assert (why["kind"], why["label"], why["required"], why["style"]) == ("text_input", "Reason", True, 2)
    assert [one["label"] for one in severity["options"]] == ["Low", "High"]
    body = {"user": "dev", "interaction": opened["id"], "fields": {"Reason": "it broke", "Severity": "High"}}
    view = await settled(part, await part.modal(body))
    assert (view["state"], view["text"], view["ephemeral"]) == ("answered", "it broke / High", True)
    with pytest.raises(Rejected):
        await part.modal(body)


async def test_a_modal_refuses_what_its_fields_do_not_take(part, bot):
    opened = await ran(part, "why")
    for fields in (
        {"Severity": "High"},
        {"Reason": "no", "Severity": "High"},
        {"Reason": "it broke", "Severity": "Medium"},
        {"Reason": "it broke", "Severity": "High", "Colour": "red"},
        {"Reason": 7, "Severity": "High"},
    ):
        with pytest.raises(Rejected):
            await part.modal({"user": "dev", "interaction": opened["id"], "fields": fields})
    with pytest.raises(Missing):
        await part.modal(
            {"user": "sre", "interaction": opened["id"], "fields": {"Reason": "it broke", "Severity": "High"}}
        )


class Everything(ui.Modal, title="Everything"):
    """A modal with each kind of field that there is beside texts and lists."""

    level = ui.Label(
        text="Level",
        component=ui.RadioGroup(options=[discord.RadioGroupOption(label=one, value=one) for one in ("low", "high")]),
    )
    parts = ui.Label(
        text="Parts",
        component=ui.CheckboxGroup(
            options=[discord.CheckboxGroupOption(label=one, value=one) for one in ("app", "bot", "db")]
        ),
    )
    sure = ui.Label(text="Sure", component=ui.Checkbox())
    proof = ui.Label(text="Proof", component=ui.FileUpload(max_values=2))
    who = ui.Label(text="Who", component=ui.UserSelect(required=True))

    async def on_submit(self, interaction: discord.Interaction) -> None:
        files = [(await one.read()).decode() for one in self.proof.component.values]
        said = (
            self.level.component.value,
            sorted(self.parts.component.values),
            self.sure.component.value,
            files,
            [one.name for one in self.who.component.values],
        )
        await interaction.response.send_message(repr(said), ephemeral=True)


async def test_a_modal_takes_boxes_files_and_members(part, tmp_path):
    bot = SmallBot()

    @bot.tree.command(description="x")
    async def everything(interaction: discord.Interaction) -> None:
        await interaction.response.send_modal(Everything())

    async with running(bot, part):
        opened = await ran(part, "everything")
        kinds = [one["kind"] for one in opened["modal"]["fields"]]
        assert kinds == ["radio_group", "checkbox_group", "checkbox", "file_upload", "user_select"]
        fields = {
            "Level": "high",
            "Parts": ["app", "db"],
            "Sure": True,
            "Proof": [{"filename": "a.txt", "base64": "YQ=="}, {"filename": "b.txt", "base64": "Yg=="}],
            "Who": ["sre2"],
        }
        body = {"user": "dev", "interaction": opened["id"], "fields": fields}
        for wrong in (
            {"Who": ["nobody"]},
            {"Level": "middle"},
            {"Parts": ["x"]},
            {"Sure": "yes"},
            {"Proof": []},
            {"Proof": ["x"]},
        ):
            with pytest.raises(Rejected):
                await part.modal(body | {"fields": fields | wrong})
        assert not list(tmp_path.glob("discord/attachments/*/*"))
        view = await settled(part, await part.modal(body))
    assert view["text"] == "('high', ['app', 'db'], True, ['a', 'b'], ['sre2'])"


async def test_a_modal_opened_by_a_button_may_change_the_button_s_message(part):
    class Deny(ui.Modal, title="Deny"):
        reason = ui.TextInput(label="Reason")

        async def on_submit(self, interaction: discord.Interaction) -> None:
            await interaction.response.edit_message(content=f"denied: {self.reason.value}", view=None)

    class Card(ui.View):
        @ui.button(label="Deny")
        async def deny(self, interaction: discord.Interaction, button: ui.Button) -> None:
            await interaction.response.send_modal(Deny())

    async with running(SmallBot(), part) as bot:
        message = await bot.channel("ops").send("card", view=Card(timeout=None))
        opened = await settled(part, await part.component({"user": "sre", "message": str(message.id), "label": "Deny"}))
        sent = await part.modal({"user": "sre", "interaction": opened["id"], "fields": {"Reason": "too late"}})
        assert (await settled(part, sent))["message"] == str(message.id)
    assert part.messages(channel="ops")["messages"][0]["text"] == "denied: too late"


# -- messages, files, threads -----------------------------------------------------------------------------------------


async def test_messages_are_posted_edited_listed_pinned_and_deleted(part, bot):
    channel = bot.channel("ops")
    first = await channel.send("one", embed=discord.Embed(title="T", description="D").add_field(name="N", value="V"))
    second = await channel.send("two")
    await first.edit(content="uno")
    await first.pin()
    assert [one.content async for one in channel.history()] == ["", "two", "uno"]
    notice = next(iter([one async for one in channel.history(limit=1)]))
    assert (notice.type, notice.reference.message_id) == (discord.MessageType.pins_add, first.id)
    await notice.delete()
    assert [one.id async for one in channel.pins()] == [first.id]
    shown = part.messages(channel="ops")["messages"]
    assert [one["text"] for one in shown] == ["uno\nT\nD\nN\nV", "two"]
    assert (shown[0]["edits"], shown[0]["pinned"], shown[0]["author"]) == (1, True, cast.BOT_NAME)
    assert [one["id"] for one in part.messages(channel="ops", after=str(first.id))["messages"]] == [str(second.id)]
    await second.delete()
    with pytest.raises(discord.NotFound) as refused:
        await channel.fetch_message(second.id)
    assert refused.value.code == 10008


async def test_a_file_comes_back_byte_for_byte_and_is_named_in_the_embed(part, bot):
    embed = discord.Embed(title="chart").set_image(url="attachment://chart.png")
    sent = await bot.channel("ops").send(
        embed=embed, file=discord.File(io.BytesIO(PNG), "chart.png", description="lines")
    )
    (attachment,) = sent.attachments
    assert await attachment.read() == PNG
    assert (attachment.width, attachment.height, attachment.content_type) == (2, 3, "image/png")
    assert sent.embeds[0].image.url == attachment.url
    kept = await sent.edit(content="no file", embed=None, attachments=[])
    assert kept.attachments == []
    with pytest.raises(discord.NotFound):
        await attachment.read()


async def test_a_layout_of_the_second_version_is_kept_with_its_tree_and_its_files(part, bot):
    layout = ui.LayoutView(timeout=None)
    row = ui.ActionRow(Vote("approve"))
    gallery = ui.MediaGallery(discord.MediaGalleryItem("attachment://chart.png"))
    section = ui.Section(ui.TextDisplay("in a section"), accessory=ui.Button(label="Go", custom_id="go"))
    layout.add_item(
        ui.Container(ui.TextDisplay("# DEPLOY"), ui.Separator(), section, gallery, row, accent_colour=0xFF0000)
    )
    sent = await bot.channel("ops").send(view=layout, file=discord.File(io.BytesIO(PNG), "chart.png"))
    assert sent.flags.components_v2
    (message,) = part.messages(channel="ops")["messages"]
    assert message["text"] == "# DEPLOY\nin a section"
    assert [one["label"] for one in message["components"]] == ["Go", "Approve"]
    (container,) = message["raw"]["components"]
    assert container["accent_color"] == 0xFF0000
    ids = [one["id"] for one in container["components"]]
    assert ids == sorted(set(ids)) and ids[0] == 2
    picture = container["components"][3]["items"][0]["media"]
    assert picture["url"].startswith("http://127.0.0.1") and picture["width"] == 2
    with pytest.raises(discord.HTTPException) as refused:
        await sent.edit(content="no text beside such a layout")
    assert refused.value.code == 50035


async def test_a_message_that_pings_becomes_a_card_and_its_ping_stays_on_record(part, bot):
    allowed = discord.AllowedMentions(roles=[discord.Object(cast.ROLES["sre"])])
    line = f"deploy waits <@&{cast.ROLES['sre']}> <@{cast.PEOPLE[3].id}>"
    sent = await bot.channel("ops").send(line, allowed_mentions=allowed)
    layout = ui.LayoutView()
    layout.add_item(ui.TextDisplay("card"))
    await sent.edit(content=None, view=layout)
    (message,) = part.messages(channel="ops")["messages"]
    assert message["pings"] == {"users": [], "roles": ["sre"], "everyone": False}
    assert (message["text"], message["content"]) == ("card", "")


async def test_nobody_is_pinged_unless_the_message_says_so(part, bot):
    await bot.channel("ops").send(f"hello <@&{cast.ROLES['sre']}> <@{cast.PEOPLE[3].id}> @everyone")
    assert part.messages(channel="ops")["messages"][0]["pings"] == {"users": [], "roles": [], "everyone": False}


async def test_a_nonce_that_is_enforced_gives_the_first_message_again(part, bot):
    channel = cast.CHANNELS["ops"]
    body = {"content": "one", "nonce": "card-184", "enforce_nonce": True}
    sent = [
        await bot.http.request(discord.http.Route("POST", f"/channels/{channel}/messages"), json=body) for _ in (1, 2)
    ]
    assert sent[0]["id"] == sent[1]["id"]
    assert len(part.messages(channel="ops")["messages"]) == 1
    again = await bot.http.request(
        discord.http.Route("POST", f"/channels/{channel}/messages"), json=body | {"nonce": "other"}
    )
    assert again["id"] != sent[0]["id"]


async def test_a_thread_grows_from_a_message_and_is_archived_and_woken(part, bot):
    message = await bot.channel("ops").send("card")
    thread = await message.create_thread(name="log of #184")
    assert thread.id == message.id
    await thread.send("line 1")
    shown = part.messages(channel=str(thread.id))["messages"]
    assert [(one["text"], one["channel"], one["thread"]) for one in shown] == [("line 1", "ops", str(thread.id))]
    (starter,) = part.messages(channel="ops")["messages"]
    assert starter["thread"] == str(thread.id) and starter["raw"]["thread"]["name"] == "log of #184"
    with pytest.raises(discord.HTTPException) as refused:
        await message.create_thread(name="again")
    assert refused.value.code == 160004
    line = await thread.send("line 2")
    await thread.edit(archived=True)
    with pytest.raises(discord.HTTPException) as refused:
        await line.edit(content="late")
    assert refused.value.code == 50083
    await thread.send("line 3")
    assert not (await bot.fetch_channel(thread.id)).archived
    await until(lambda: "THREAD_UPDATE" in bot.seen)


async def test_commands_can_be_run_in_a_thread(part, bot):
    message = await bot.channel("ops").send("card")
    thread = await message.create_thread(name="talk")
    view = await ran(part, "ping", channel=str(thread.id))
    assert view["text"] == "pong"


async def test_a_world_that_is_started_again_keeps_messages_files_and_commands(tmp_path):
    home = tmp_path / "kept"
    async with discord_part(home) as part, running(talkative(), part) as bot:
        sent = await bot.channel("ops").send("kept", file=discord.File(io.BytesIO(PNG), "a.png"), view=button_view())
        await ran(part, "ping")
    async with discord_part(home) as part:
        assert [one["name"] for one in part.guild_state()["commands"]]
        async with running(talkative(), part) as bot:
            message = await bot.channel("ops").fetch_message(sent.id)
            assert await message.attachments[0].read() == PNG
            pressed = await part.component({"user": "sre", "message": str(sent.id), "label": "Approve"})
            assert (await settled(part, pressed))["text"] == "approve by sre"

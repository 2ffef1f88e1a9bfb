// A small bot on an unmodified discord.js: does on each command one thing that a bot does, and says what it saw, one
// JSON line a step. Address and token come by the environment and go in by the client's public options; the folder that it
// is started in holds the packages.
import { createRequire } from "node:module";

const installed = createRequire(`${process.cwd()}/package.json`);
const {
  ActionRowBuilder, ApplicationCommandOptionType, ApplicationCommandType, AttachmentBuilder, ButtonBuilder, ButtonStyle,
  Client, ContainerBuilder, EmbedBuilder, Events, FileUploadBuilder, GatewayIntentBits, LabelBuilder,
  MediaGalleryBuilder, MessageFlags, ModalBuilder, RESTEvents, SectionBuilder, SeparatorBuilder, StringSelectMenuBuilder,
  TextDisplayBuilder, TextInputBuilder, TextInputStyle, UserSelectMenuBuilder, version,
} = installed("discord.js");

const say = (step, more = {}) => process.stdout.write(`${JSON.stringify({ step, ...more })}\n`);
const PNG = Buffer.from(
  "89504e470d0a1a0a0000000d4948445200000002000000030806000000b9ead8810000000d49444154789c6360606060000000050001a5f64540"
    + "0000000049454e44ae426082", "hex");
const chart = () => new AttachmentBuilder(PNG, { name: "chart.png", description: "a chart" });

const client = new Client({
  intents: [GatewayIntentBits.Guilds, GatewayIntentBits.GuildMessages, GatewayIntentBits.GuildMessageReactions],
  rest: { api: process.env.API, cdn: process.env.CDN, timeout: 10_000 },
});

process.on("unhandledRejection", (error) => { say("broke", { what: String(error?.stack ?? error) }); process.exit(1); });
client.on(Events.Error, (error) => say("broke", { what: String(error?.stack ?? error) }));
client.rest.on(RESTEvents.RateLimited, (about) => say("limited", { wait: about.timeToReset, global: about.global }));
client.on(Events.ShardResume, (_shard, replayed) => say("resumed", { replayed }));
client.on(Events.ShardReconnecting, () => say("reconnecting"));

const commands = [
  { name: "ping", description: "Answers at once" },
  {
    name: "deploy", description: "Answers later",
    options: [
      { name: "service", description: "which", type: ApplicationCommandOptionType.String, required: true, autocomplete: true },
      { name: "count", description: "how many", type: ApplicationCommandOptionType.Integer, minValue: 1, maxValue: 5 },
      { name: "who", description: "for whom", type: ApplicationCommandOptionType.User },
      { name: "role", description: "for which", type: ApplicationCommandOptionType.Role },
      { name: "where", description: "the place", type: ApplicationCommandOptionType.Channel },
      { name: "file", description: "a file", type: ApplicationCommandOptionType.Attachment },
    ],
  },
  { name: "card", description: "Posts a card of the second version" },
  { name: "why", description: "Asks why" },
  { name: "thread", description: "Starts a thread" },
  { name: "react", description: "Reacts" },
  { name: "burst", description: "Posts eight times", options: [{ name: "times", description: "n", type: ApplicationCommandOptionType.Integer, required: true }] },
  { name: "wrong", description: "Does what is refused" },
  { name: "Quote", type: ApplicationCommandType.Message },
  { name: "Who is it", type: ApplicationCommandType.User },
];

client.once(Events.ClientReady, async () => {
  const guild = client.guilds.cache.get(process.env.GUILD);
  say("login", {
    version, user: client.user.username, guild: guild.name,
    channels: guild.channels.cache.map((one) => one.name).sort(), roles: guild.roles.cache.map((one) => one.name).sort(),
  });
  const set = await guild.commands.set(commands);
  say("commands", { names: set.map((one) => one.name).sort() });
});

const buttons = () => new ActionRowBuilder().addComponents(
  new ButtonBuilder().setCustomId("approve:1").setLabel("Approve").setStyle(ButtonStyle.Success),
  new ButtonBuilder().setCustomId("deny:1").setLabel("Deny").setStyle(ButtonStyle.Danger).setDisabled(true),
  new ButtonBuilder().setURL("https://example.invalid/logs").setLabel("Logs").setStyle(ButtonStyle.Link));
const menu = () => new ActionRowBuilder().addComponents(
  new StringSelectMenuBuilder().setCustomId("more").setPlaceholder("More").addOptions(
    { label: "Show logs", value: "logs" }, { label: "Retry", value: "retry", description: "again" }));
const people = () => new ActionRowBuilder().addComponents(new UserSelectMenuBuilder().setCustomId("whom").setPlaceholder("Whom"));

const acts = {
  ping: (i) => i.reply({ content: "pong", flags: MessageFlags.Ephemeral }),

  async deploy(i) {
    await i.deferReply();
    const given = i.options;
    const file = given.getAttachment("file");
    const bytes = file ? (await (await fetch(file.url)).arrayBuffer()).byteLength : 0;
    const embed = new EmbedBuilder().setTitle("Deploy").setDescription("on its way").setImage("attachment://chart.png")
      .addFields({ name: "Service", value: given.getString("service"), inline: true });
    const message = await i.editReply({ embeds: [embed], components: [buttons(), menu(), people()], files: [chart()] });
    const drawn = await (await fetch(message.attachments.first().url)).arrayBuffer();
    say("edited", {
      service: given.getString("service"), count: given.getInteger("count"), who: given.getMember("who")?.user.username,
      role: given.getRole("role")?.name, where: given.getChannel("where")?.name, bytes,
      embed: message.embeds[0].data.title, image: message.embeds[0].image.url === message.attachments.first().url,
      width: message.attachments.first().width, drawn: Buffer.from(drawn).equals(PNG),
      components: message.components.map((row) => row.components.length), author: message.author.id === client.user.id,
    });
    const extra = await i.followUp({ content: "a follow-up", flags: MessageFlags.Ephemeral });
    await i.webhook.editMessage(extra, { content: "changed" });
    await i.deleteReply(extra);
    say("followed", { edited: (await i.fetchReply()).id === message.id });
  },

  async card(i) {
    const section = new SectionBuilder().addTextDisplayComponents(new TextDisplayBuilder().setContent("in a section"))
      .setButtonAccessory(new ButtonBuilder().setCustomId("go").setLabel("Go").setStyle(ButtonStyle.Primary));
    const container = new ContainerBuilder().setAccentColor(0xff0000)
      .addTextDisplayComponents(new TextDisplayBuilder().setContent("# DEPLOY"))
      .addSeparatorComponents(new SeparatorBuilder()).addSectionComponents(section)
      .addMediaGalleryComponents(new MediaGalleryBuilder().addItems({ media: { url: "attachment://chart.png" } }))
      .addActionRowComponents(buttons());
    const sent = await i.reply({ components: [container], files: [chart()], flags: MessageFlags.IsComponentsV2, withResponse: true });
    const { message } = sent.resource;
    const [box] = message.components;
    say("card", {
      v2: message.flags.has(MessageFlags.IsComponentsV2), kinds: box.components.map((one) => one.type), accent: box.accentColor,
      picture: box.components[3].items[0].media.data.url.startsWith("http"), content: message.content,
    });
  },

  why: (i) => i.showModal(new ModalBuilder().setCustomId(`why:${i.id}`).setTitle("Why?").addLabelComponents(
    new LabelBuilder().setLabel("Reason").setTextInputComponent(
      new TextInputBuilder().setCustomId("reason").setStyle(TextInputStyle.Paragraph).setMinLength(3)),
    new LabelBuilder().setLabel("Severity").setStringSelectMenuComponent(
      new StringSelectMenuBuilder().setCustomId("severity").addOptions({ label: "Low", value: "low" }, { label: "High", value: "high" })),
    new LabelBuilder().setLabel("Evidence").setFileUploadComponent(
      new FileUploadBuilder().setCustomId("evidence").setMinValues(0).setMaxValues(2).setRequired(false)))),

  async thread(i) {
    const { resource } = await i.reply({ content: "a card", withResponse: true });
    const thread = await resource.message.startThread({ name: "log of it", autoArchiveDuration: 60 });
    const line = await thread.send("line 1");
    await line.edit("line one");
    await thread.setArchived(true);
    const late = await line.edit("late").then(() => 0, (error) => error.code);
    // The client itself would refuse a second thread before asking.
    const again = await client.rest.post(`/channels/${i.channelId}/messages/${resource.message.id}/threads`, { body: { name: "again" } })
      .then(() => 0, (error) => error.code);
    await thread.setArchived(false);
    say("thread", { same: thread.id === resource.message.id, parent: thread.parent.name, late, again, archived: thread.archived });
  },

  async react(i) {
    await i.deferReply({ flags: MessageFlags.Ephemeral });
    const message = await i.channel.send("react to this");
    await message.react("✅");
    await message.react("🚢");
    const fetched = await message.fetch(true);
    const users = await fetched.reactions.resolve("✅").users.fetch();
    await fetched.reactions.resolve("🚢").users.remove(client.user.id);
    const kept = (await message.fetch(true)).reactions.cache.map((one) => [one.emoji.name, one.count, one.me]);
    say("reacted", { users: users.map((one) => one.username), kept, message: message.id });
    await i.editReply("done");
  },

  async burst(i) {
    await i.reply({ content: "posting", flags: MessageFlags.Ephemeral });
    const began = Date.now();
    const sent = await Promise.all([...Array(i.options.getInteger("times")).keys()].map((n) => i.channel.send(`post ${n}`)));
    say("burst", { sent: sent.length, took: Date.now() - began });
  },

  async wrong(i) {
    const codes = {};
    const refused = async (name, attempt) => { codes[name] = await attempt().then(() => "taken", (error) => error.code ?? String(error)); };
    await refused("form", () => i.reply({ content: "x".repeat(2001) }));
    await i.reply({ content: "one", flags: MessageFlags.Ephemeral });
    const answer = { body: { type: 4, data: { content: "two" } }, auth: false };
    await refused("twice", () => client.rest.post(`/interactions/${i.id}/${i.token}/callback`, answer));
    await refused("channel", () => client.channels.fetch("1"));
    await refused("empty", () => i.channel.send({ content: "" }));
    say("wrong", { codes });
  },

  Quote: (i) => i.reply({ content: `it says ${i.targetMessage.content}`, flags: MessageFlags.Ephemeral }),
  "Who is it": (i) => i.reply({ content: `${i.targetUser.username} ${i.targetMember.roles.cache.map((r) => r.name).sort().join()}` }),
};

client.on(Events.MessageReactionAdd, (reaction, user) => say("reaction", { emoji: reaction.emoji.name, by: user.id }));

client.on(Events.InteractionCreate, async (i) => {
  if (i.isAutocomplete()) {
    const typed = i.options.getFocused();
    await i.respond(["app", "bot"].filter((name) => name.includes(typed)).map((name) => ({ name: name.toUpperCase(), value: name })));
  } else if (i.isCommand()) {
    await acts[i.commandName](i);
  } else if (i.isButton()) {
    await i.update({ content: `${i.customId} by ${i.member.displayName}`, embeds: [], components: [], attachments: [] });
    say("pressed", { id: i.customId, allowed: i.memberPermissions.has("SendMessages"), on: i.message.id });
  } else if (i.isStringSelectMenu()) {
    await i.deferUpdate();
    await i.followUp({ content: `picked ${i.values}`, flags: MessageFlags.Ephemeral });
    say("picked", { values: i.values });
  } else if (i.isUserSelectMenu()) {
    await i.reply({ content: `whom ${i.users.map((one) => one.username)}`, flags: MessageFlags.Ephemeral });
  } else if (i.isModalSubmit()) {
    const files = i.fields.getUploadedFiles("evidence")?.map((one) => one.name) ?? [];
    const [severity] = i.fields.getStringSelectValues("severity");
    await i.reply({ content: `${i.fields.getTextInputValue("reason")} / ${severity} / ${files}`, flags: MessageFlags.Ephemeral });
    say("submitted", { own: i.customId.startsWith("why:") });
  }
});

process.stdin.on("end", async () => { await client.destroy(); say("ended"); process.exit(0); });
process.stdin.resume();
await client.login(process.env.TOKEN);

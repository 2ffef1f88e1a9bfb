/**
 * Puts the page together: the store, the live connection, and each view on its place.
 */

import { Acts } from "./acts.js";
import { Composer } from "./composer.js";
import { byId } from "./dom.js";
import { Guide } from "./guide.js";
import { Live } from "./live.js";
import { authorOf } from "./message.js";
import { MessageList } from "./messages.js";
import { openModal } from "./modal.js";
import { listenToRegions } from "./regions.js";
import { Sidebar } from "./sidebar.js";
import { Store } from "./store.js";
import { startTicking } from "./time.js";
import { toast } from "./toasts.js";
import { Tour } from "./tour.js";
import { World } from "./world.js";

const EXCERPT = 140;

const store = new Store();
const live = new Live(store);
/** @param {string} sentence */
const complain = (sentence) => toast("That did not work", sentence, { kind: "problem" });

/** @type {import("./markdown.js").Names} */
const names = {
  member: (id) =>
    store.state.members.find((one) => one.id === id)?.name ??
    (store.state.guild.bot?.id === id ? store.state.guild.bot.name : undefined),
  role: (id) => store.state.guild.roles?.find((one) => one.id === id),
  channel: (id) => store.placeById(id)?.name,
  openChannel: (id) => store.show(id),
  openMessage: (channel, message) => {
    store.show(channel);
    // The room may still be on its way.
    if (!list.showMessage(message)) live.loadRoom(channel).then(() => list.showMessage(message));
  },
};

const acts = new Acts(store, live, { openModal: (interaction, user) => openModal(interaction, user, stage), complain });
const stage = { store, acts, names };
const list = new MessageList(stage, (place) => live.loadEarlier(place));
const composer = new Composer(store, acts, complain);
new Sidebar(store);
const world = new World(store);
new Tour(store, new Guide({ store, acts, composer, list, world }));

function drawTitle() {
  const place = store.placeById(store.place);
  const name = place ? (place.parent ? place.name : `#${place.name}`) : "";
  byId("chat-title").textContent = name;
  byId("chat-topic").textContent =
    place?.topic ?? (place?.parent ? `thread in #${store.placeById(place.parent)?.name ?? ""}` : "");
  const waiting = store.state.channels.reduce((sum, one) => sum + store.unread(one.id).pings, 0);
  document.title = `${waiting ? `(${waiting}) ` : ""}${name ? `${name} · ` : ""}Quarterdeck sandbox`;
}

for (const topic of /** @type {const} */ (["place", "state", "unread", "acting"])) store.on(topic, drawTitle);

store.on("message", ({ place, message, fresh }) => {
  const onShow = place === store.place && document.visibilityState === "visible";
  if (!fresh || onShow || !store.pingsMe(message)) return;
  const where = store.placeById(place)?.name ?? "";
  toast(`${authorOf(message)} in #${where}`, message.text.slice(0, EXCERPT), {
    kind: "ping",
    open: () => names.openMessage(place, message.id),
  });
});

/**
 * The page may load pictures from the one port that Discord's files had when it was opened. A world that was restarted
 * has another: open the page anew, once for each.
 */
document.addEventListener("securitypolicyviolation", (event) => {
  const files = store.state.parts.find((one) => one.name === "discord")?.url;
  const origin = files ? new URL(files).origin : "";
  if (!origin || !event.blockedURI.startsWith(`${origin}/`) || sessionStorage.getItem("quarterdeck.files") === origin) return;
  sessionStorage.setItem("quarterdeck.files", origin);
  location.reload();
});

startTicking();
listenToRegions();
list.draw();
live.start();

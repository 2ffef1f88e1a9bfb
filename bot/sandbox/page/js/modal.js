/**
 * The form that the bot opens over the page: texts, selects and files with their labels, in a real dialog.
 */

import { selectBox } from "./components.js";
import { el } from "./dom.js";
import { packed } from "./files.js";
import { markdown } from "./markdown.js";

/** @typedef {import("./types.js").Interaction} Interaction */
/** @typedef {import("./types.js").ModalField} ModalField */
/** @typedef {import("./components.js").Stage} Stage */
/** @typedef {{field: ModalField, node: HTMLElement, read: () => any, empty: () => boolean}} Control */

const SELECT_TYPES = /** @type {Record<string, number>} */ ({
  select: 3,
  user_select: 5,
  role_select: 6,
  mentionable_select: 7,
  channel_select: 8,
});
const PARAGRAPH = 2;

/**
 * Open the modal of an interaction; it closes when the bot has taken it or the member gives up.
 * @param {Interaction} interaction
 * @param {string} user who opened it: the modal stays theirs, whoever acts meanwhile
 * @param {Stage} stage
 */
export function openModal(interaction, user, stage) {
  const wish = interaction.modal;
  if (!wish) return;
  const controls = wish.fields.map((field, index) => control(field, `field-${index}`, stage));
  const problem = el("p", { class: "failure", role: "alert" });
  const submit = el("button", { class: "button primary", type: "submit" }, "Submit");
  const cancel = el("button", { class: "button plain", type: "button" }, "Cancel");
  const title = el("h2", { id: "modal-title" }, wish.title);
  const form = el(
    "form",
    { class: "modal-form", noValidate: true },
    el("header", { class: "modal-head" }, el("img", { src: "mark.svg", alt: "", width: 28, height: 28 }), title),
    el("div", { class: "modal-fields" }, ...controls.map((one) => one.node)),
    problem,
    el("footer", { class: "modal-foot" }, el("span", { class: "modal-who" }, `as ${user}`), cancel, submit),
  );
  const dialog = el("dialog", { class: "modal", "aria-labelledby": "modal-title" }, form);
  const close = () => dialog.close();
  cancel.addEventListener("click", close);
  dialog.addEventListener("close", () => dialog.remove());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!complete(controls)) return;
    submit.disabled = true;
    submit.setAttribute("aria-busy", "true");
    /** @type {Record<string, any>} */
    const fields = {};
    for (const one of controls) if (!one.empty()) fields[one.field.custom_id || one.field.label] = await one.read();
    problem.textContent = (await stage.acts.submit(interaction, user, fields)) ?? "";
    submit.disabled = false;
    submit.removeAttribute("aria-busy");
    if (!problem.textContent) close();
  });
  document.body.append(dialog);
  dialog.showModal();
  /** @type {HTMLElement | null} */ (form.querySelector("input, textarea, .select"))?.focus();
}

/** Whether every required field is filled; the first that is not gets the focus. @param {Control[]} controls */
function complete(controls) {
  let first = null;
  for (const one of controls) {
    const lacks = Boolean(one.field.required) && one.empty();
    one.node.classList.toggle("lacking", lacks);
    if (lacks) first ??= one;
  }
  /** @type {HTMLElement | null | undefined} */ (first?.node.querySelector("input, textarea, button"))?.focus();
  return first === null;
}

/** @param {ModalField} field @param {string} id @param {Stage} stage @returns {Control} */
function control(field, id, stage) {
  if (field.kind === "text") {
    const words = el("div", { class: "text" }, markdown(field.label ?? "", stage.names));
    return { field: { ...field, required: false }, node: words, read: () => "", empty: () => true };
  }
  const type = SELECT_TYPES[field.kind];
  if (type) return selectControl(field, type, id, stage);
  if (field.kind === "radio_group" || field.kind === "checkbox_group") return groupControl(field, id);
  if (field.kind === "file_upload") return fileControl(field, id);
  return field.kind === "checkbox" ? checkControl(field, id) : textControl(field, id);
}

/** @param {ModalField} field */
const star = (field) => (field.required ? el("span", { class: "star", title: "required" }, " *") : null);

/** @param {ModalField} field @param {HTMLElement} input @param {string} [id] */
function labelled(field, input, id) {
  const head = el("label", { class: "field-label", htmlFor: id ?? "" }, field.label, star(field));
  return el(
    "div",
    { class: "modal-field" },
    head,
    field.description ? el("p", { class: "field-text", id: id ? `${id}-text` : "" }, field.description) : null,
    input,
    el("p", { class: "field-lack" }, "This field is required."),
  );
}

/** @param {ModalField} field @param {string} id @returns {Control} */
function textControl(field, id) {
  const props = {
    id,
    class: "text-input",
    value: field.value ?? "",
    placeholder: field.placeholder ?? "",
    maxLength: field.max_length ?? 4000,
    "aria-required": field.required ? "true" : null,
    "aria-describedby": field.description ? `${id}-text` : null,
    autocomplete: "off",
  };
  const input =
    field.style === PARAGRAPH ? el("textarea", { ...props, rows: 4 }) : el("input", { ...props, type: "text" });
  /** @type {HTMLElement} */ (input).addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) input.form?.requestSubmit();
  });
  return { field, node: labelled(field, input, id), read: () => input.value, empty: () => input.value.trim() === "" };
}

/** @param {ModalField} field @param {number} type @param {string} id @param {Stage} stage @returns {Control} */
function selectControl(field, type, id, stage) {
  const raw = { ...field, type, custom_id: field.custom_id, hint: field.label };
  const box = selectBox(raw, stage.store, () => undefined);
  box.node.id = id;
  return { field, node: labelled(field, box.node, id), read: () => box.values(), empty: () => box.values().length === 0 };
}

/** Radio buttons or boxes to tick, all in sight. @param {ModalField} field @param {string} id @returns {Control} */
function groupControl(field, id) {
  const one = field.kind === "radio_group";
  const boxes = (field.options ?? []).map((option) => ({
    option,
    input: el("input", { type: one ? "radio" : "checkbox", name: id, value: option.value, checked: Boolean(option.default) }),
  }));
  const picked = () => boxes.filter((box) => box.input.checked).map((box) => String(box.option.value));
  const most = one ? 1 : (field.max_values ?? boxes.length);
  const limit = () => {
    for (const { input } of boxes) input.disabled = !one && !input.checked && picked().length >= most;
  };
  const node = el(
    "fieldset",
    { class: "modal-field choice-group", on: { change: limit } },
    el("legend", { class: "field-label" }, field.label, star(field)),
    field.description ? el("p", { class: "field-text" }, field.description) : null,
    ...boxes.map(({ option, input }) => el("label", { class: "choice" }, input, words(option.label, option.description))),
    el("p", { class: "field-lack" }, "This field is required."),
  );
  limit();
  return { field, node, read: picked, empty: () => picked().length === 0 };
}

/** @param {string} label @param {string | undefined} description */
function words(label, description) {
  return el("span", { class: "choice-words" }, el("span", null, label), description ? el("small", null, description) : null);
}

/** @param {ModalField} field @param {string} id @returns {Control} */
function checkControl(field, id) {
  const input = el("input", { id, type: "checkbox", checked: Boolean(field.default) });
  const node = el(
    "div",
    { class: "modal-field" },
    el("label", { class: "choice" }, input, words(field.label, field.description)),
  );
  return { field, node, read: () => input.checked, empty: () => false };
}

/** @param {ModalField} field @param {string} id @returns {Control} */
function fileControl(field, id) {
  const input = el("input", { id, type: "file", class: "text-input", multiple: (field.max_values ?? 1) > 1 });
  const read = () => Promise.all([...(input.files ?? [])].map(packed));
  return { field, node: labelled(field, input, id), read, empty: () => !input.files?.length };
}

// The customers and the phone of the one that is chosen.

import { $, auto, avatar, el, fullName, reconcile, refresh, spoken } from "./dom.js";
import { icon } from "./icons.js";
import { sendDraft } from "./composer.js";
import { act, attempt, dialog, item, menu } from "./overlays.js";
import { alive, api, bot, chatName, loadCommands, post, privateChat, redraw, state, ui } from "./state.js";
import { paint } from "./thread.js";

const PERSONAS = [
  { first_name: "Ada", last_name: "Lovelace", username: "ada", language_code: "en" },
  { first_name: "Jonas", last_name: "Weber", username: "jonas_w", language_code: "de" },
  { first_name: "Mei", last_name: "Tan", language_code: "en" },
];
const HINTS = ["Where is my order?", "I want my money back", "Can I talk to a person?"];

export function drawPeople() {
  reconcile($("people"), state.customers.map((user) => {
    const chosen = user.id === ui.customer;
    const unread = ui.unread.get(`phone:${user.id}`);
    return {
      key: user.id,
      version: [user, chosen, Boolean(unread)],
      make: () => el("button", { type: "button", onclick: () => chooseCustomer(user.id) }),
      build: (node) => {
        node.className = chosen ? "person on" : "person";
        node.title = `${fullName(user)} (id ${user.id})`;
        node.ariaCurrent = chosen ? "true" : null;
        node.replaceChildren(avatar(user), auto(user.first_name), ...(unread ? [el("i", { class: "dot" }), spoken(" unread")] : []));
      },
    };
  }));
  refresh($("more-people"), !state.customers.length, (node) => node.replaceChildren(
    el("button", { type: "button", class: "person add", id: "add-customer", title: "Add a customer", ariaLabel: "Add a customer", onclick: customerDialog },
      el("span", { class: "avatar plain" }, icon("plus")), state.customers.length ? null : "Add a customer")));
}

export function chooseCustomer(id) {
  ui.customer = id;
  loadCommands();
  redraw();
  $("people").querySelector(".on")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  $("phone-input").focus({ preventScroll: true });
}

async function addCustomer(who) {
  const user = await api("POST", "/sim/customers", who);
  if (!state.customers.some((other) => other.id === user.id)) state.customers.push(user);
  chooseCustomer(user.id);
}

function customerDialog() {
  const next = PERSONAS[state.customers.length] ?? {};
  dialog({ title: "Add a customer", text: "They get a phone of their own.", label: "Add", go: addCustomer, fields: [
    { name: "first_name", label: "First name", value: next.first_name }, { name: "last_name", label: "Last name", value: next.last_name },
    { name: "username", label: "Username", value: next.username }, { name: "language_code", label: "Language", value: next.language_code ?? "en" },
  ] });
}

function phoneBlank(chat) {
  const parts = () => {
    if (!ui.customer) {
      const chip = (who) => el("button", { type: "button", class: "chip", onclick: () => attempt("phone", addCustomer(who)) }, who.first_name);
      return [el("span", { class: "avatar h4" }, icon("user")), el("b", {}, "Nobody is here yet"),
        "Pick a first customer; you will be holding their phone.", el("div", {}, PERSONAS.map(chip))];
    }
    const hello = chat?.started ? "The chat is empty." : "Press Start, or pick a first question below.";
    return [el("span", { class: "avatar h4" }, icon("bubble")), el("b", {}, "Say hello…"), hello];
  };
  return { version: [ui.customer, chat?.started], parts };
}

export function drawPhone() {
  const chat = privateChat(ui.customer);
  const busy = ui.typing.get(chatName("phone"));
  const messages = alive(chat);
  const name = bot()?.first_name ?? "Bot";
  const note = busy ?? (bot()?.claimed ? "bot" : "bot, not connected yet");
  refresh($("phone-head"), [name, note, ui.customer], (node) => node.replaceChildren(avatar({ is_bot: true }),
    el("div", { class: "who" }, el("b", {}, auto(name)), el("small", { class: busy ? "busy" : "" }, note)),
    el("button", { type: "button", class: "bare", title: "More", ariaLabel: "More", disabled: !ui.customer, onclick: phoneMenu }, icon("more"))));
  paint("phone", messages, phoneBlank(chat));
  const start = $("phone-start");
  const blocked = Boolean(chat?.blocked);
  start.hidden = !ui.customer || !(blocked || !messages.length);
  start.textContent = blocked ? "UNBLOCK" : "START";
  $("phone-form").hidden = !ui.customer || !start.hidden;
  const fresh = ui.customer && !blocked && !messages.some((message) => !message.from_bot && !message.text?.startsWith("/"));
  const chip = (text) => el("button", { type: "button", class: "chip", onclick: () => act("phone", "/send", { text, start: true }) }, text);
  refresh($("chips"), Boolean(fresh), (node) => node.replaceChildren(...(fresh ? HINTS.map(chip) : [])));
  drawKeyboard(messages);
}

function drawKeyboard(messages) {
  const from = messages.filter((message) => message.keyboard).at(-1);
  const rows = from && !ui.dismissed.has(from.seq) ? from.keyboard.keyboard : null;
  const key = ({ text }) => el("button", { type: "button", class: "key", dir: "auto", onclick: () => {
    if (from.keyboard.one_time_keyboard) ui.dismissed.add(from.seq);
    act("phone", "/send", { text });
  } }, text);
  $("keyboard").hidden = !rows;
  refresh($("keyboard"), [from?.seq, rows], (node) => node.replaceChildren(...(rows ?? []).map((row) => el("div", {}, row.map(key)))));
}

function phoneMenu(event) {
  const blocked = privateChat(ui.customer)?.blocked;
  menu(event.currentTarget, [
    item("smile", "Send a sticker", () => act("phone", "/other", { kind: "sticker" })),
    item("pin", "Send a location", () => act("phone", "/other", { kind: "location" })),
    item("user", "Send a contact", () => act("phone", "/other", { kind: "contact" })),
    item("ban", blocked ? "Unblock the bot" : "Block the bot", () => act("phone", blocked ? "/unblock" : "/block"), "danger"),
  ]);
}

export function attachMenu(event) {
  const pick = (kind, accept) => () => {
    const input = $("file");
    input.accept = accept;
    input.onchange = () => {
      const form = new FormData();
      form.append("file", input.files[0]);
      input.value = "";
      sendDraft("phone", (caption) => {
        form.append("caption", caption);
        return post("phone", `/${kind}`, form);
      });
    };
    input.click();
  };
  menu(event.currentTarget, [
    item("image", "Photo…", pick("photo", "image/*")),
    item("image", "A sample photo", () => sendDraft("phone", (caption) => post("phone", "/photo", { caption }))),
    item("file", "Document…", pick("document", "")),
    item("desk", "A voice message", () => act("phone", "/voice", {})),
  ]);
}

export async function commandMenu(event) {
  const anchor = event.currentTarget;
  await loadCommands();
  const nodes = ui.commands.map(({ command, description }) => item(null, [el("code", {}, `/${command}`), el("small", { dir: "auto" }, description)],
    () => act("phone", "/send", { text: `/${command}` })));
  menu(anchor, nodes.length ? nodes : [el("p", {}, "The bot has not set any commands yet.")]);
}

// One message: its bubble, its buttons, what one can do with it.

import { auto, avatar, clock, cut, el, fullName, hue, reconcile, spoken } from "./dom.js";
import { icon, ticks } from "./icons.js";
import { act, dialog, toast } from "./overlays.js";
import { LINK, rich } from "./richtext.js";
import { actorOf, post, redraw, ui, write } from "./state.js";

// As long as Telegram keeps a button waiting for the bot, in milliseconds.
const PATIENCE = 15_000;

export function summary(message) {
  if (message.photo) return message.caption ?? "Photo";
  if (message.document) return message.caption ?? message.document.file_name;
  if (message.voice) return "Voice message";
  if (message.sticker) return `${message.sticker.emoji ?? ""} Sticker`;
  if (message.location) return "Location";
  if (message.contact) return `Contact: ${message.contact.first_name}`;
  return message.text ?? service(message) ?? "";
}

export function service(message) {
  const who = message.from.first_name;
  if (message.forum_topic_created) return `${who} created the topic “${message.forum_topic_created.name}”`;
  if (message.forum_topic_edited) {
    const name = message.forum_topic_edited.name;
    return name ? `${who} renamed the topic to “${name}”` : `${who} changed the topic's icon`;
  }
  if (message.forum_topic_closed) return `${who} closed the topic`;
  if (message.forum_topic_reopened) return `${who} reopened the topic`;
  if (message.pinned_message) return `${who} pinned “${cut(summary(message.pinned_message), 60)}”`;
  return null;
}

function attachment(message) {
  const source = (file) => `/sim/files/${encodeURIComponent(file.file_id)}`;
  const card = (name, title, note, href) =>
    el("a", { class: "filecard", dir: "auto", href, download: href ? title : undefined },
      el("span", { class: "avatar h4" }, icon(name)), el("span", {}, title, el("small", {}, note)));
  if (message.photo) {
    const size = message.photo.at(-1);
    const width = Math.min(size.width, 320);
    return el("img", { src: source(size), alt: message.caption ?? "Photo", width, height: Math.round(width * size.height / size.width) });
  }
  if (message.document) {
    const size = `${Math.max(1, Math.round(message.document.file_size / 1024))} KB`;
    return card("file", message.document.file_name, size, source(message.document));
  }
  if (message.voice) return card("desk", "Voice message", `0:0${message.voice.duration}`);
  if (message.sticker) return el("div", { class: "sticker" }, message.sticker.emoji ?? "🙂");
  if (message.contact) return card("user", message.contact.first_name, message.contact.phone_number);
  if (message.location) {
    return card("pin", "Location", `${message.location.latitude.toFixed(4)}, ${message.location.longitude.toFixed(4)}`);
  }
  return null;
}

function keys(message, where) {
  const rows = message.reply_markup?.inline_keyboard;
  if (!rows) return null;
  return el("div", { class: "keys" }, rows.map((row) => el("div", {}, row.map((button) => key(message, button, where)))));
}

const pressName = (message, button, where) => [actorOf(where), message.chat_id, message.message_id, button.callback_data].join(":");

/** The message's buttons that wait for the bot. */
export const waiting = (message, where) => (message.reply_markup?.inline_keyboard ?? []).flat()
  .map((button) => pressName(message, button, where)).filter((name) => ui.presses.has(name));

function key(message, button, where) {
  const kind = `key ${button.style ?? ""}`;
  const url = button.url ?? button.web_app?.url;
  if (url) {
    return el("a", { class: `${kind} link`, dir: "auto", href: LINK.test(url) ? url : "#", target: "_blank", rel: "noopener noreferrer" }, button.text);
  }
  const copy = async () => {
    await navigator.clipboard?.writeText(button.copy_text.text).catch(() => null);
    toast(where, "Copied");
  };
  const busy = ui.presses.has(pressName(message, button, where));
  return el("button", { type: "button", class: busy ? `${kind} busy` : kind, dir: "auto", ariaBusy: busy && "true",
    onclick: () => (button.copy_text ? copy() : press(message, button, where)) }, button.text);
}

/**
 * Press a button; it shows that it waits until the event of the answer comes. The request itself does not wait:
 * a browser has six connections, and six presses without an answer would leave none for anything else.
 */
async function press(message, button, where) {
  const name = pressName(message, button, where);
  if (ui.presses.has(name)) return;
  const who = actorOf(where);
  const waits = { query: null, heard: new Set() };
  const end = () => {
    if (ui.presses.get(name) !== waits) return false;
    clearTimeout(late);
    ui.presses.delete(name);
    redraw();
    return true;
  };
  const late = setTimeout(() => { if (end() && actorOf(where) === who) toast(where, "The bot did not answer.", true); }, PATIENCE);
  ui.presses.set(name, waits);
  redraw();
  const found = await act(where, "/press", { message_id: message.message_id, data: button.callback_data, text: button.text, timeout: 0 });
  waits.query = found?.query_id;
  waits.end = end;
  // The event may have been faster than the answer to the request.
  if (!waits.query || found.answered || waits.heard.has(waits.query)) end();
}

/** The bot answered a press, by whomever it was. */
export function answered(query) {
  for (const waits of ui.presses.values()) {
    if (waits.query === query) waits.end();
    else if (!waits.query) waits.heard.add(query);
  }
}

function reactions(message, where) {
  const me = actorOf(where);
  const counts = new Map();
  for (const { user_id, reaction } of message.reactions) {
    for (const { emoji } of reaction) {
      const found = counts.get(emoji) ?? { count: 0, mine: false };
      counts.set(emoji, { count: found.count + 1, mine: found.mine || user_id === me });
    }
  }
  if (!counts.size) return null;
  return el("div", { class: "reactions" }, [...counts].map(([emoji, { count, mine }]) =>
    el("button", { type: "button", class: mine ? "reaction mine" : "reaction", title: emoji, ariaLabel: `${emoji} ${count}`, ariaPressed: String(mine),
      onclick: () => act(where, "/react", { message_id: message.message_id, emoji: mine ? null : emoji }) },
    emoji === "👍" ? icon("like") : emoji, count > 1 ? String(count) : null)));
}

function editDialog(message, where) {
  const before = message.text ?? message.caption;
  dialog({ title: "Edit message", fields: [{ name: "text", label: "Text", value: before, lines: true }], label: "Save",
    // As Telegram's apps do, one that stays the same is not sent.
    go: ({ text }) => (text === before.trim() ? null : post(where, "/edit", { message_id: message.message_id, text })) });
}

const replyDialog = (message, where) => dialog({ title: "Reply", text: summary(message),
  fields: [{ name: "text", label: "Text", lines: true }], label: "Send", go: ({ text }) => write(where, text, message.message_id) });

const tool = (name, title, onclick) => el("button", { type: "button", class: "react", title, ariaLabel: title, onclick }, icon(name));

function tools(message, where, mine, editable) {
  if (mine) return editable ? [tool("edit", "Edit", () => editDialog(message, where))] : [];
  const liked = message.reactions.some(({ user_id, reaction }) => user_id === actorOf(where) && reaction.some(({ emoji }) => emoji === "👍"));
  return [tool("reply", "Reply", () => replyDialog(message, where)),
    tool("like", "React with thumbs up", () => act(where, "/react", { message_id: message.message_id, emoji: liked ? null : "👍" }))];
}

/** Who wrote it, where it is not seen from the side the bubble stands on: that no screen reader tells. */
function author(message, mine, named) {
  if (mine || !named) return spoken(`${mine ? "You" : fullName(message.from)}: `);
  return el("span", { class: `name n${message.from.is_bot ? 4 : hue(message.from.id)}`, dir: "ltr" }, auto(fullName(message.from)),
    message.from.is_bot ? el("span", { class: "tag" }, "bot") : null);
}

function fillBubble(stack, message, where, mine, editable, named) {
  const quoted = message.reply_to_message?.forum_topic_created ? null : message.reply_to_message;
  const text = message.text ?? message.caption;
  const origin = message.forward_origin?.sender_user;
  // The bubble takes its direction from the text alone: everything before it has one of its own.
  const bubble = el("div", { class: "bubble", dir: "auto" }, author(message, mine, named),
    origin ? el("div", { class: "forwarded", dir: "ltr" }, "Forwarded from ", auto(fullName(origin))) : null,
    quoted ? el("span", { class: "quote", dir: "ltr" }, el("b", { dir: "auto" }, fullName(quoted.from)), auto(summary(quoted))) : null,
    attachment(message),
    text ? el("span", { class: "text" }, rich(text, message.entities ?? message.caption_entities, where)) : null,
    el("span", { class: "time" }, message.edit_date ? "edited " : null, el("span", { dir: "ltr" }, clock(message.date)), mine ? ticks() : null),
    reactions(message, where));
  stack.ondblclick = editable ? () => editDialog(message, where) : null;
  stack.replaceChildren(...[bubble, keys(message, where)].filter(Boolean));
}

/** Fill the row of a message; `first` and `last` of those that one person wrote in a go. */
export function fillRow(row, message, where, first, last) {
  const notice = service(message);
  if (notice) {
    row.className = "pill";
    row.dir = "auto";
    row.textContent = notice;
    return;
  }
  const me = actorOf(where);
  const mine = message.from.id === me;
  const editable = mine && !message.forward_origin && (message.text ?? message.caption) !== undefined;
  const named = first && where === "room";
  row.className = `row ${mine ? "out" : "in"}${first ? " first" : ""}${last ? " last" : ""}`;
  // Where nothing can point at it without touching, a tap gives it the focus and so shows its tools.
  row.tabIndex = -1;
  const part = (key, version, kind, build) => ({ key, version, build, make: () => el("div", { class: kind }) });
  // What is written comes by itself: a message that follows changes the corners, and must not unselect the text.
  const parts = [
    part("stack", [message, me, named, waiting(message, where)], "stack", (stack) => fillBubble(stack, message, where, mine, editable, named)),
    part("tools", [message, me], "tools", (node) => node.replaceChildren(...tools(message, where, mine, editable))),
  ];
  if (where === "room" && !mine) parts.unshift(part("side", last, "side", (node) => node.replaceChildren(...(last ? [avatar(message.from)] : []))));
  reconcile(row, parts);
}

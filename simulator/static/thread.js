// The two threads of messages: painted as they change, kept at their end.

import { $, avatar, el, reconcile } from "./dom.js";
import { fillRow, service, waiting } from "./messages.js";
import { actorOf, bot, chatName, redraw, shown, ui } from "./state.js";

const open = new Map();
const stuck = new Set();
const heights = new Map();

const dayOf = (message) => new Date(message.date * 1000).toDateString();

function dayName(message) {
  const ago = (days) => new Date(Date.now() - days * 86_400_000).toDateString();
  if (dayOf(message) === ago(0)) return "Today";
  if (dayOf(message) === ago(1)) return "Yesterday";
  return new Date(message.date * 1000).toLocaleDateString([], { day: "numeric", month: "long", year: "numeric" });
}

/** Show the messages in the thread, or `blank` where there are none. */
export function paint(where, messages, blank) {
  const thread = $(`${where}-thread`);
  const chat = chatName(where);
  const known = open.get(where) === chat;
  if (!known) stuck.add(where);
  open.set(where, chat);
  const items = [];
  const add = (key, version, build) => items.push({ key: `${chat}/${key}`, version, build, make: () => el("div") });
  messages.forEach((message, index) => {
    const [before, after] = [messages[index - 1], messages[index + 1]];
    const same = (other) => other && !service(other) && other.from.id === message.from.id
      && Math.abs(other.date - message.date) < 300 && dayOf(other) === dayOf(message);
    const [first, last] = [!same(before), !same(after)];
    if (!before || dayOf(before) !== dayOf(message)) {
      const name = dayName(message);
      add(dayOf(message), name, (node) => { node.className = "pill day"; node.textContent = name; });
    }
    add(message.message_id, [message, first, last, actorOf(where), waiting(message, where)], (row) => fillRow(row, message, where, first, last));
  });
  if (!messages.length) add("blank", blank.version, (node) => { node.className = "empty"; node.replaceChildren(...blank.parts()); });
  if (ui.typing.has(chat)) {
    add("typing", where, (node) => {
      const dots = el("span", { class: "typing" }, el("i"), el("i"), el("i"));
      node.className = "row in first last";
      // The head of the chat says it in words.
      node.ariaHidden = "true";
      node.replaceChildren(...(where === "room" ? [el("div", { class: "side" }, avatar(bot()))] : []), el("div", { class: "stack" }, el("div", { class: "bubble" }, dots)));
    });
  }
  const made = reconcile(thread, items);
  if (known && shown(where)) made.forEach((node) => node.classList.add("new"));
  if (stuck.has(where)) thread.scrollTop = thread.scrollHeight;
}

/** A thread that shows its end keeps showing it, whatever grows or shrinks around it. */
export function keepEnd(where) {
  const thread = $(`${where}-thread`);
  const follow = () => { if (stuck.has(where)) thread.scrollTop = thread.scrollHeight; };
  thread.addEventListener("scroll", () => {
    const rest = thread.scrollHeight - thread.scrollTop - thread.clientHeight;
    if (rest < 60) stuck.add(where);
    else if (thread.clientHeight === heights.get(where)) stuck.delete(where);
  }, { passive: true });
  thread.addEventListener("animationend", (event) => event.target.classList.remove("new"));
  new ResizeObserver(() => {
    heights.set(where, thread.clientHeight);
    follow();
    // It may have come into sight: what it shows is read then.
    if (ui.unread.has(chatName(where))) redraw();
  }).observe(thread);
}

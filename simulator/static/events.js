// The simulator's world: loaded from /sim/state, and kept by the events that follow.

import { $, refresh } from "./dom.js";
import { dropDrafts } from "./composer.js";
import { answered, service } from "./messages.js";
import { alertBox, toast } from "./overlays.js";
import { GENERAL, actorOf, api, bot, chatName, loadCommands, privateChat, redraw, shown, state, threadOf, topicOf, ui } from "./state.js";

// Events that came while the state was being loaded, and how often it was.
let early = [];
let loads = 0;

function adopt(chat) {
  const name = chat.bot_key ? `${chat.bot_key}:${chat.id}` : String(chat.id);
  const known = state.chats.get(name);
  const messages = chat.messages ? new Map(chat.messages.map((message) => [message.message_id, message])) : known?.messages ?? new Map();
  state.chats.set(name, { ...chat, messages });
  if (chat.id === state.groupId) {
    state.group = state.chats.get(name);
    state.operators = chat.members.filter((member) => !member.user.is_bot && member.status !== "left");
    if (!state.operators.some(({ user }) => user.id === ui.actor)) ui.actor = state.operators[0]?.user.id ?? null;
  }
}

/** Load everything anew. Until it is there events wait: they would be applied to what is about to be replaced. */
async function load() {
  loads += 1;
  const turn = loads;
  ui.ready = false;
  early = [];
  const found = await api("GET", "/sim/state").catch(() => null);
  // One that failed is tried again at the stream's next hello.
  if (turn !== loads || !found) return;
  Object.assign(state, { bots: found.bots, customers: found.customers, groupId: found.operators_chat });
  state.chats.clear();
  found.chats.forEach(adopt);
  if (!state.customers.some((user) => user.id === ui.customer)) ui.customer = state.customers[0]?.id ?? null;
  if (ui.topic !== GENERAL && !topicOf(ui.topic)) ui.topic = GENERAL;
  ui.ready = true;
  const waited = early;
  early = [];
  waited.filter((event) => event.id > found.event_id).forEach(({ kind, data }) => handlers[kind](data));
  redraw();
}

const chatOf = (data) => state.chats.get(String(data.chat_id)) ?? privateChat(data.chat_id);

function received(message) {
  const isGroup = message.chat_id === state.groupId;
  if (!isGroup && message.chat.id > 0 && !privateChat(message.chat_id)) {
    adopt({ ...message.chat, bot_key: bot()?.key, started: true, members: [], topics: [] });
  }
  chatOf(message)?.messages.set(message.message_id, message);
  const where = isGroup ? "room" : "phone";
  const name = isGroup ? `room:${threadOf(message)}` : `phone:${message.chat_id}`;
  if (message.from_bot) ui.typing.delete(name);
  const foreign = isGroup ? message.from.id !== ui.actor : message.from_bot;
  const seen = name === chatName(where) && shown(where);
  if (foreign && !seen && !service(message)) ui.unread.set(name, (ui.unread.get(name) ?? 0) + 1);
}

const handlers = {
  message: received,
  edit: (message) => chatOf(message)?.messages.set(message.message_id, message),
  delete: (gone) => chatOf(gone)?.messages.delete(gone.message_id),
  chat: adopt,
  bot: (one) => { state.bots = state.bots.map((other) => (other.key === one.key ? one : other)); },
  commands: () => loadCommands(),
  customer: (user) => {
    if (!state.customers.some((other) => other.id === user.id)) state.customers.push(user);
    ui.customer ??= user.id;
  },
  topic: ({ act: what, topic }) => {
    const others = state.group.topics.filter((other) => other.message_thread_id !== topic.message_thread_id);
    state.group.topics = what === "deleted" ? others : [...others, topic];
    if (what === "deleted" && ui.topic === topic.message_thread_id) ui.topic = GENERAL;
    if (what === "deleted") ui.unread.delete(`room:${topic.message_thread_id}`);
  },
  chat_action: (event) => {
    const name = event.chat_id === state.groupId ? `room:${event.thread_id ?? GENERAL}` : `phone:${event.chat_id}`;
    const word = event.action === "typing" ? "typing…" : `${event.action.replaceAll("_", " ")}…`;
    ui.typing.set(name, word);
    setTimeout(() => { ui.typing.delete(name); redraw(); }, 5000);
  },
  callback_answer: (answer) => {
    answered(answer.query_id);
    const where = answer.chat_id === state.groupId ? "room" : "phone";
    if (!answer.text || answer.user_id !== actorOf(where)) return;
    if (answer.show_alert) alertBox(where, answer.text);
    else toast(where, answer.text);
  },
  reset: () => {
    // Ids and sequence numbers begin anew: nothing that is kept by them may last.
    Object.assign(ui, { customer: null, topic: GENERAL });
    [ui.unread, ui.typing, ui.presses, ui.dismissed].forEach((kept) => kept.clear());
    dropDrafts();
    $("menu").hidePopover();
    load();
  },
};

export function listen() {
  const source = new EventSource("/sim/events");
  source.addEventListener("hello", () => load());
  for (const kind of Object.keys(handlers)) {
    source.addEventListener(kind, (event) => {
      const data = JSON.parse(event.data);
      if (ui.ready) handlers[kind](data);
      else early.push({ id: Number(event.lastEventId), kind, data });
      redraw();
    });
  }
  source.onerror = () => refresh($("status"), "down", (node) => {
    node.className = "status down";
    node.lastElementChild.textContent = "The simulator does not answer; trying again…";
  });
}

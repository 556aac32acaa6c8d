// What the page knows and what its user has chosen; asking the simulator for changes.

import { $ } from "./dom.js";

export const GENERAL = 1;

/** The simulator's world, as /sim/state and the events tell it. */
export const state = { bots: [], customers: [], operators: [], chats: new Map(), group: null, groupId: null };

/**
 * The user's side. `unread`, `typing` and `drafts` are by chat (see `chatName`), `presses` by `pressName`,
 * `dismissed` holds the messages whose one-time keyboard was used.
 */
export const ui = { ready: false, customer: null, topic: GENERAL, actor: null, commands: [], unread: new Map(), typing: new Map(),
  drafts: new Map(), presses: new Map(), dismissed: new Set() };

let painter = () => {};
export const onRedraw = (paint) => { painter = paint; };
export const redraw = () => { if (ui.ready) painter(); };

export const bot = () => state.bots[0];
/** Who acts: the customer on the "phone", the operator in the "room". */
export const actorOf = (where) => (where === "phone" ? ui.customer : ui.actor);
export const chatName = (where) => (where === "phone" ? `phone:${ui.customer}` : `room:${ui.topic}`);
/** Whether a thread is in sight: a narrow page shows one pane at a time. */
export const shown = (where) => $(`${where}-thread`).checkVisibility();
export const privateChat = (id) => state.chats.get(`${bot()?.key}:${id}`);
export const threadOf = (message) => message.thread_id ?? GENERAL;
export const topicOf = (id) => state.group?.topics.find((topic) => topic.message_thread_id === id);
export const alive = (chat) => [...(chat?.messages.values() ?? [])].filter((message) => !message.deleted)
  .sort((a, b) => a.message_id - b.message_id);

/** A request to the simulator; throws an error with a sentence to show. */
export async function api(method, path, body) {
  const options = { method };
  if (body instanceof FormData) options.body = body;
  else if (body) Object.assign(options, { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
  const response = await fetch(path, options).catch(() => null);
  if (!response) throw new Error("The simulator does not answer. Is it still running?");
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error ?? `The simulator failed with ${response.status}; its log says why.`);
  return answer;
}

/** An act of who holds the phone or writes in the room. */
export const post = (where, path, body) =>
  api("POST", (where === "phone" ? "/sim/customers/" : "/sim/operators/") + actorOf(where) + path, body);

export const write = (where, text, reply_to) =>
  post(where, "/send", { text, reply_to, thread: where === "room" && ui.topic !== GENERAL ? ui.topic : undefined });

export async function loadCommands() {
  ui.commands = ui.customer ? await api("GET", `/sim/customers/${ui.customer}/commands`).catch(() => []) : [];
}

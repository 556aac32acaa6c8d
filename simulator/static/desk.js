// The operators' group: its topics, and the one that is open.

import { $, auto, avatar, clock, cut, el, initial, plural, reconcile, refresh, spoken } from "./dom.js";
import { icon } from "./icons.js";
import { service, summary } from "./messages.js";
import { act, dialog, item, menu } from "./overlays.js";
import { GENERAL, alive, chatName, post, redraw, state, threadOf, topicOf, ui } from "./state.js";
import { paint } from "./thread.js";

// Telegram's colours of topics, each with the class of the avatar that comes closest.
const COLOURS = new Map([[7322096, 4], [16766590, 1], [13338331, 5], [9367192, 2], [16749490, 6], [16478047, 0]]);

function topicAvatar(topic) {
  if (!topic) return el("span", { class: "avatar plain", ariaHidden: "true" }, icon("hash"));
  return el("span", { class: `avatar h${COLOURS.get(topic.icon_color) ?? 4}`, ariaHidden: "true" }, initial(topic.name).toUpperCase() || "#");
}

const topicName = (topic) => [auto(topic?.name ?? "General"), topic?.closed ? icon("lock") : null, topic?.closed ? spoken(" (closed)") : null];

function topicRow(id, topic, last) {
  const chosen = id === ui.topic;
  const unread = ui.unread.get(`room:${id}`);
  const author = last && !service(last) ? `${last.from.id === ui.actor ? "You" : last.from.first_name}: ` : "";
  // What is seen of it is shorter still, but to a screen reader it is the button's name.
  const preview = last ? cut(author + summary(last), 80) : "No messages yet";
  const time = last ? clock(last.date) : "";
  return {
    key: id,
    version: [topic, chosen, unread, preview, time],
    make: () => el("button", { type: "button", onclick: () => openTopic(id) }),
    build: (node) => {
      node.className = `topic${chosen ? " on" : ""}${topic?.closed ? " closed" : ""}`;
      node.ariaCurrent = chosen ? "true" : null;
      node.replaceChildren(topicAvatar(topic), el("b", {}, topicName(topic)), el("time", {}, time), el("small", { dir: "auto" }, preview),
        ...(unread ? [el("span", { class: "badge" }, String(unread)), spoken(" unread")] : [el("i")]));
    },
  };
}

export function drawTopics() {
  const group = state.group;
  if (!group) return;
  const note = `${plural(state.operators.length, "operator")}, ${plural(group.topics.length, "topic")}`;
  refresh($("group-head"), [group.title, note], (node) => node.replaceChildren(el("span", { class: "avatar h5" }, icon("desk")),
    el("div", {}, el("b", { dir: "auto" }, group.title), el("small", {}, note))));
  const lasts = new Map();
  for (const message of alive(group)) lasts.set(threadOf(message), message);
  const topics = [...group.topics].sort((a, b) =>
    (lasts.get(b.message_thread_id)?.seq ?? 0) - (lasts.get(a.message_thread_id)?.seq ?? 0));
  const rows = [topicRow(GENERAL, null, lasts.get(GENERAL)),
    ...topics.map((topic) => topicRow(topic.message_thread_id, topic, lasts.get(topic.message_thread_id)))];
  if (!topics.length) {
    const hint = "Escalations show up here as topics, one per customer.";
    rows.push({ key: "hint", version: "", make: () => el("div", { class: "hint" }, hint), build: () => {} });
  }
  reconcile($("topics"), rows);
  const total = [...ui.unread].reduce((sum, [name, count]) => sum + (name.startsWith("room:") ? count : 0), 0);
  $("desk-unread").hidden = !total;
  refresh($("desk-unread"), total, (node) => node.replaceChildren(String(total), spoken(" unread")));
}

function openTopic(id) {
  ui.topic = id;
  $("desk").dataset.open = "yes";
  redraw();
}

const renameDialog = (topic) => dialog({ title: "Rename the topic", fields: [{ name: "name", label: "Name", value: topic.name }], label: "Rename",
  go: ({ name }) => post("room", `/topics/${topic.message_thread_id}/rename`, { name }) });

function topicTools(topic) {
  const path = `/topics/${topic.message_thread_id}`;
  const [title, way] = topic.closed ? ["Reopen the topic", "reopen"] : ["Close the topic", "close"];
  return [
    el("button", { type: "button", class: "bare", title, ariaLabel: title, onclick: () => act("room", `${path}/${way}`) }, icon(topic.closed ? "open" : "lock")),
    el("button", { type: "button", class: "bare", title: "More", ariaLabel: "More about the topic", onclick: (event) => menu(event.currentTarget, [
      item("edit", "Rename", () => renameDialog(topic)),
      item("trash", "Delete the topic", () => act("room", `${path}/delete`), "danger"),
    ]) }, icon("more")),
  ];
}

const blank = {
  version: "",
  parts: () => [el("span", { class: "avatar h5" }, icon("desk")), el("b", {}, "The desk is quiet"),
    "Escalations show up here as topics. Write as a customer and ask for a person."],
};

export function drawRoom() {
  const topic = topicOf(ui.topic);
  const busy = ui.typing.get(chatName("room"));
  const messages = alive(state.group).filter((message) => threadOf(message) === ui.topic);
  const note = busy ?? (topic?.closed ? "closed" : plural(messages.filter((message) => !service(message)).length, "message"));
  refresh($("room-head"), [topic, note], (node) => node.replaceChildren(
    el("button", { type: "button", class: "bare back", ariaLabel: "Back to the topics", onclick: () => { delete $("desk").dataset.open; } }, icon("back")),
    topicAvatar(topic), el("div", { class: "who" }, el("b", {}, topicName(topic)), el("small", { class: busy ? "busy" : "" }, note)),
    ...(topic ? topicTools(topic) : [])));
  paint("room", messages, blank);
  reconcile($("actors"), state.operators.map(({ user }) => ({
    key: user.id,
    version: [user, user.id === ui.actor],
    make: () => el("button", { type: "button", onclick: () => { ui.actor = user.id; redraw(); } }),
    build: (node) => {
      node.className = user.id === ui.actor ? "actor on" : "actor";
      node.title = `Act as ${user.first_name}`;
      node.ariaPressed = String(user.id === ui.actor);
      node.replaceChildren(avatar(user), auto(user.first_name));
    },
  })));
}

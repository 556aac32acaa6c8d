// The simulator's page. State comes from /sim/state, changes from /sim/events, acts go to /sim/....
// Everything people or bots write enters the page as text nodes, never as HTML.

const $ = (id) => document.getElementById(id);
const GENERAL = 1;
const ICONS = {
  bubble: "M5 5h14a3 3 0 0 1 3 3v7a3 3 0 0 1-3 3h-7l-5 4v-4H5a3 3 0 0 1-3-3V8a3 3 0 0 1 3-3z",
  reset: "M4 4v5h5M4.5 9A8 8 0 1 1 4 13",
  send: "M12 19V5M5.5 11.5 12 5l6.5 6.5",
  clip: "M20 11.5 12 19.4a5 5 0 0 1-7-7L13.2 4a3.4 3.4 0 0 1 4.8 4.8L10 16.9a1.7 1.7 0 0 1-2.4-2.4l7.4-7.6",
  slash: "M4 6h16M4 12h16M4 18h9",
  plus: "M12 5v14M5 12h14",
  more: "M12 5.5v.01M12 12v.01M12 18.5v.01",
  back: "M15 5l-7 7 7 7",
  lock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  open: "M6 11h12v9H6zM8.5 11V7.5A3.5 3.5 0 0 1 15 6",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  check: "M5 12.5l4.5 4.5L19 7.5",
  like: "M7 11v9H4v-9zM7 11l4-7c1.8 0 2.6 1.2 2.3 2.8L12.7 10H18a2 2 0 0 1 2 2.4l-1.3 6A2 2 0 0 1 16.8 20H7",
  image: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9v.01",
  file: "M7 3h7l5 5v13H7zM14 3v5h5",
  pin: "M12 21s-6-5.5-6-10.5a6 6 0 0 1 12 0C18 15.5 12 21 12 21zM12 10.5v.01",
  user: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20c1-4 4-5.5 7.5-5.5s6.5 1.5 7.5 5.5",
  ban: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM5.8 5.8l12.4 12.4",
  hash: "M9.5 4 7.5 20M16.5 4l-2 16M4.5 9h16M3.5 15h16",
  desk: "M4 13a8 8 0 0 1 16 0v4a2 2 0 0 1-2 2h-1v-6h3M4 13v4a2 2 0 0 0 2 2h1v-6H4",
  smile: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM8.5 14.5c1.8 2.3 5.2 2.3 7 0M9 9.5v.01M15 9.5v.01",
  edit: "M5 19l1-4L16.5 4.5l3 3L9 18z",
  reply: "M10 8V4L3 11l7 7v-4c5 0 8 1.5 10.5 5C20 13 16.5 8.5 10 8z",
};
const PERSONAS = [
  { first_name: "Ada", last_name: "Lovelace", username: "ada", language_code: "en" },
  { first_name: "Jonas", last_name: "Weber", username: "jonas_w", language_code: "de" },
  { first_name: "Mei", last_name: "Tan", language_code: "en" },
];
const HINTS = ["Where is my order?", "I want my money back", "Can I talk to a person?"];

const state = { bots: [], customers: [], operators: [], chats: new Map(), group: null };
const ui = { customer: null, topic: GENERAL, actor: null, unread: new Map(), commands: [], typing: new Map(),
  keyboards: new Map(), dismissed: new Set() };
let ready = false;
let early = [];

// Small tools ------------------------------------------------------------------------------

function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node && name !== "list") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(svg.namespaceURI, "path");
  path.setAttribute("d", ICONS[name]);
  if (name === "more") svg.style.strokeWidth = "3";
  svg.append(path);
  return svg;
}

function ticks() {
  const svg = icon("check");
  svg.setAttribute("viewBox", "0 0 24 18");
  svg.firstChild.setAttribute("d", "M2 9l4.5 5L16 3M10.5 13l1.5 1L22 3");
  svg.style.strokeWidth = "2.2";
  return svg;
}

const hue = (id) => Math.abs(id) % 7;
const initials = (user) => ((user.first_name?.[0] ?? "?") + (user.last_name?.[0] ?? "")).toUpperCase();
const fullName = (user) => [user.first_name, user.last_name].filter(Boolean).join(" ");
const clock = (unix) => new Date(unix * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
const bot = () => state.bots[0];

function avatar(user) {
  if (user.is_bot) return el("span", { class: "avatar h4" }, icon("bubble"));
  return el("span", { class: `avatar h${hue(user.id)}` }, initials(user));
}

async function api(method, path, body) {
  const options = { method };
  if (body instanceof FormData) options.body = body;
  else if (body) Object.assign(options, { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
  const response = await fetch(path, options);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error ?? "The simulator refused.");
  return answer;
}

/** Run an act of the customer ("phone") or an operator ("room"); a refusal is shown there. */
async function act(where, path, body) {
  const base = where === "phone" ? `/sim/customers/${ui.customer}` : `/sim/operators/${ui.actor}`;
  try {
    return await api("POST", base + path, body);
  } catch (error) {
    toast(where, error.message, true);
    return null;
  }
}

function toast(where, text, bad = false) {
  const node = el("div", { class: bad ? "toast bad" : "toast" }, text);
  $(`${where}-toasts`).append(node);
  setTimeout(() => node.remove(), bad ? 5000 : 3200);
}

function alertBox(where, text) {
  const box = el("div", { class: "alert", role: "alertdialog" });
  const close = el("button", { type: "button", onclick: () => box.remove() }, "OK");
  box.append(el("div", {}, el("b", {}, bot()?.first_name ?? "Bot"), el("p", {}, text), close));
  (where === "phone" ? document.querySelector(".phone") : document.querySelector(".room")).append(box);
  close.focus();
}

function menu(anchor, items) {
  const node = $("menu");
  node.replaceChildren(...items);
  node.hidden = false;
  const at = anchor.getBoundingClientRect();
  const box = node.getBoundingClientRect();
  const below = at.top < innerHeight / 2;
  node.style.left = `${Math.max(8, Math.min(at.left, innerWidth - box.width - 8))}px`;
  node.style.top = `${below ? at.bottom + 8 : Math.max(8, at.top - box.height - 8)}px`;
  node.querySelector("button")?.focus();
}

const item = (name, label, onclick, kind) =>
  el("button", { type: "button", role: "menuitem", class: kind, onclick }, icon(name), label);

// Messages ---------------------------------------------------------------------------------

const LINK = /^(https?:|mailto:|tg:)/i;

/** Render text with its entities; their offsets are UTF-16 units, as are JavaScript's. */
function rich(text, entities, where) {
  const block = (entity) => ["blockquote", "expandable_blockquote", "pre"].includes(entity.type);
  const build = (start, end, list) => {
    const nodes = [];
    let at = start;
    for (let i = 0; i < list.length; i += 1) {
      const entity = list[i];
      const from = Math.max(entity.offset, at);
      const to = Math.min(entity.offset + entity.length, end);
      if (to <= from) continue;
      // A block starts and ends a line by itself: the line breaks around it would be seen twice.
      if (from > at) nodes.push(block(entity) ? text.slice(at, from).replace(/\n$/, "") : text.slice(at, from));
      const inside = list.slice(i + 1).filter((other) => other.offset < to);
      nodes.push(wrap(entity, text.slice(from, to), build(from, to, inside), where));
      at = block(entity) && text[to] === "\n" ? to + 1 : to;
    }
    if (at < end) nodes.push(text.slice(at, end));
    return nodes;
  };
  return build(0, text.length, entities ?? []);
}

function wrap(entity, plain, nodes, where) {
  const tags = { bold: "b", italic: "i", underline: "u", strikethrough: "s", code: "code", blockquote: "blockquote", pre: "pre" };
  if (tags[entity.type]) return el(tags[entity.type], {}, nodes);
  if (entity.type === "expandable_blockquote") {
    return el("blockquote", { class: "folded", onclick: (event) => event.currentTarget.classList.toggle("folded") }, nodes);
  }
  if (entity.type === "spoiler") {
    return el("span", { class: "spoiler", onclick: (event) => event.currentTarget.classList.toggle("shown") }, nodes);
  }
  if (entity.type === "bot_command" && where) {
    const send = () => (where === "phone" ? act("phone", "/send", { text: plain }) : sendInRoom(plain));
    return el("a", { href: "#", onclick: (event) => { event.preventDefault(); send(); } }, nodes);
  }
  let url = { text_link: entity.url, url: plain, email: `mailto:${plain}` }[entity.type];
  if (url && entity.type === "url" && !LINK.test(url)) url = `http://${url}`;
  if (url && LINK.test(url)) return el("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, nodes);
  if (["mention", "hashtag", "text_mention"].includes(entity.type)) return el("a", {}, nodes);
  return el("span", {}, nodes);
}

function summary(message) {
  if (message.photo) return message.caption ?? "Photo";
  if (message.document) return message.caption ?? message.document.file_name;
  if (message.voice) return "Voice message";
  if (message.sticker) return `${message.sticker.emoji ?? ""} Sticker`;
  if (message.location) return "Location";
  if (message.contact) return `Contact: ${message.contact.first_name}`;
  return message.text ?? service(message) ?? "";
}

function service(message) {
  const who = message.from.first_name;
  if (message.forum_topic_created) return `${who} created the topic “${message.forum_topic_created.name}”`;
  if (message.forum_topic_edited) {
    const name = message.forum_topic_edited.name;
    return name ? `${who} renamed the topic to “${name}”` : `${who} changed the topic's icon`;
  }
  if (message.forum_topic_closed) return `${who} closed the topic`;
  if (message.forum_topic_reopened) return `${who} reopened the topic`;
  if (message.pinned_message) return `${who} pinned “${summary(message.pinned_message).slice(0, 60)}”`;
  return null;
}

function attachment(message) {
  const source = (file) => `/sim/files/${encodeURIComponent(file.file_id)}`;
  const card = (name, title, note, href) =>
    el("a", { class: "filecard", href, download: href ? title : undefined },
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

function key(message, button, where) {
  const kind = `key ${button.style ?? ""}`;
  const url = button.url ?? button.web_app?.url;
  if (url) {
    return el("a", { class: `${kind} link`, href: LINK.test(url) ? url : "#", target: "_blank", rel: "noopener noreferrer" }, button.text);
  }
  const press = async (event) => {
    const node = event.currentTarget;
    if (button.copy_text) {
      await navigator.clipboard?.writeText(button.copy_text.text).catch(() => null);
      toast(where, "Copied");
      return;
    }
    node.classList.add("busy");
    const body = { message_id: message.message_id, data: button.callback_data, text: button.text, timeout: 15 };
    await act(where, "/press", body);
    node.classList.remove("busy");
  };
  return el("button", { type: "button", class: kind, onclick: press }, button.text);
}

function reactions(message, where) {
  const me = where === "phone" ? ui.customer : ui.actor;
  const counts = new Map();
  for (const { user_id, reaction } of message.reactions) {
    for (const { emoji } of reaction) {
      const found = counts.get(emoji) ?? { count: 0, mine: false };
      counts.set(emoji, { count: found.count + 1, mine: found.mine || user_id === me });
    }
  }
  if (!counts.size) return null;
  return el("div", { class: "reactions" }, [...counts].map(([emoji, { count, mine }]) =>
    el("button", { type: "button", class: mine ? "reaction mine" : "reaction", title: emoji,
      onclick: () => act(where, "/react", { message_id: message.message_id, emoji: mine ? null : emoji }) },
    emoji === "👍" ? icon("like") : emoji, count > 1 ? String(count) : null)));
}

const tool = (name, title, onclick) => el("button", { type: "button", class: "react", title, ariaLabel: title, onclick }, icon(name));

function bubble(message, where, first, last) {
  const notice = service(message);
  if (notice) return el("div", { class: "pill" }, notice);
  const mine = message.from.id === (where === "phone" ? ui.customer : ui.actor);
  const answered = message.reply_to_message;
  const plain = answered && !(answered.forum_topic_created) ? answered : null;
  const text = message.text ?? message.caption;
  const entities = message.entities ?? message.caption_entities;
  const origin = message.forward_origin?.sender_user;
  const name = where === "room" && !mine && first
    ? el("span", { class: `name n${message.from.is_bot ? 4 : hue(message.from.id)}` }, fullName(message.from),
      message.from.is_bot ? el("span", { class: "tag" }, "bot") : null)
    : null;
  const liked = message.reactions.some((entry) => entry.reaction.some((one) => one.emoji === "👍")
    && entry.user_id === (where === "phone" ? ui.customer : ui.actor));
  const editable = mine && !message.forward_origin && message.text;
  const tools = mine
    ? [editable && tool("edit", "Edit", () => editDialog(message, where))]
    : [tool("reply", "Reply", () => replyDialog(message, where)),
      tool("like", "React with thumbs up", () => act(where, "/react", { message_id: message.message_id, emoji: liked ? null : "👍" }))];
  const body = el("div", { class: "bubble" }, name,
    origin ? el("div", { class: "forwarded" }, `Forwarded from ${fullName(origin)}`) : null,
    plain ? el("span", { class: "quote" }, el("b", {}, fullName(plain.from)), el("span", {}, summary(plain))) : null,
    attachment(message),
    text ? el("span", { class: "text" }, rich(text, entities, where)) : null,
    el("span", { class: "time" }, message.edit_date ? "edited " : null, clock(message.date), mine ? ticks() : null),
    reactions(message, where));
  const side = where === "room" && !mine ? (last ? avatar(message.from) : el("span", { class: "gap" })) : null;
  const edges = `${first ? " first" : ""}${last ? " last" : ""}`;
  const row = el("div", { class: `row ${mine ? "out" : "in"}${edges}` }, side,
    el("div", { class: "stack" }, body, keys(message, where)), tools.filter(Boolean));
  row.dataset.message = message.message_id;
  if (editable) row.addEventListener("dblclick", () => editDialog(message, where));
  return row;
}

const painted = new Map();
const stuck = new Set();
const heights = new Map();

/** Show messages in a thread; nodes whose message is unchanged stay, so nothing flickers. */
function paint(where, id, messages, blank) {
  const thread = $(`${where}-thread`);
  const known = painted.get(where)?.id === id ? painted.get(where).nodes : null;
  if (!known) stuck.add(where);
  const nodes = new Map();
  const children = messages.map((message, index) => {
    const same = (other) => other && !service(other) && other.from.id === message.from.id
      && Math.abs(other.date - message.date) < 300;
    const first = !same(messages[index - 1]);
    const last = !same(messages[index + 1]);
    const version = JSON.stringify([message, first, last, where === "phone" ? ui.customer : ui.actor]);
    const old = known?.get(message.message_id);
    const node = old?.version === version ? old.node : bubble(message, where, first, last);
    if (known && !old) node.classList.add("new");
    nodes.set(message.message_id, { node, version });
    return node;
  });
  if (!children.length && blank) children.push(blank);
  const busy = ui.typing.get(typingKey(where));
  if (busy) {
    const dots = el("span", { class: "typing" }, el("i"), el("i"), el("i"));
    const side = where === "room" ? avatar(bot()) : null;
    children.push(el("div", { class: "row in first last" }, side, el("div", { class: "stack" }, el("div", { class: "bubble" }, dots))));
  }
  const current = [...thread.children];
  if (children.length !== current.length || children.some((node, index) => node !== current[index])) thread.replaceChildren(...children);
  painted.set(where, { id, nodes });
  if (stuck.has(where)) thread.scrollTop = thread.scrollHeight;
}

/** A thread that shows its end keeps showing it, whatever grows or shrinks around it. */
function keepEnd(where) {
  const thread = $(`${where}-thread`);
  const follow = () => { if (stuck.has(where)) thread.scrollTop = thread.scrollHeight; };
  thread.addEventListener("scroll", () => {
    const rest = thread.scrollHeight - thread.scrollTop - thread.clientHeight;
    if (rest < 60) stuck.add(where);
    else if (thread.clientHeight === heights.get(where)) stuck.delete(where);
  }, { passive: true });
  new ResizeObserver(() => { heights.set(where, thread.clientHeight); follow(); }).observe(thread);
}

// The phone --------------------------------------------------------------------------------

const typingKey = (where) => (where === "phone" ? `phone:${ui.customer}` : `room:${ui.topic}`);
const privateChat = (id) => state.chats.get(`${bot()?.key}:${id}`);
const alive = (chat) => [...(chat?.messages.values() ?? [])].filter((message) => !message.deleted)
  .sort((a, b) => a.message_id - b.message_id);

function drawPeople() {
  const nodes = state.customers.map((user) => el("button", { type: "button", class: user.id === ui.customer ? "person on" : "person",
    title: `${fullName(user)} (id ${user.id})`, onclick: () => chooseCustomer(user.id) },
  avatar(user), user.first_name, ui.unread.get(`phone:${user.id}`) ? el("i", { class: "dot" }) : null));
  $("people").replaceChildren(...nodes);
  $("more-people").replaceChildren(el("button", { type: "button", class: "person add", id: "add-customer", title: "Add a customer", onclick: customerDialog },
    el("span", { class: "avatar plain" }, icon("plus")), state.customers.length ? null : "Add a customer"));
}

function chooseCustomer(id) {
  ui.customer = id;
  ui.unread.delete(`phone:${id}`);
  loadCommands();
  draw();
  $("people").querySelector(".on")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  $("phone-input").focus({ preventScroll: true });
}

async function loadCommands() {
  ui.commands = ui.customer ? await api("GET", `/sim/customers/${ui.customer}/commands`).catch(() => []) : [];
}

function phoneBlank(chat) {
  if (!ui.customer) {
    return el("div", { class: "empty" }, el("span", { class: "avatar h4" }, icon("user")), el("b", {}, "Nobody is here yet"),
      "Pick a first customer; you will be holding their phone.",
      el("div", {}, PERSONAS.map((who) => el("button", { type: "button", class: "chip", onclick: () => addCustomer(who) }, who.first_name))));
  }
  const hello = chat?.started ? "The chat is empty." : "Press Start, or pick a first question below.";
  return el("div", { class: "empty" }, el("span", { class: "avatar h4" }, icon("bubble")), el("b", {}, "Say hello…"), hello);
}

function drawPhone() {
  const chat = privateChat(ui.customer);
  const busy = ui.typing.get(`phone:${ui.customer}`);
  const messages = alive(chat);
  $("phone-head").replaceChildren(avatar({ is_bot: true }),
    el("div", { class: "who" }, el("b", {}, el("span", {}, bot()?.first_name ?? "Bot")),
      el("small", { class: busy ? "busy" : "" }, busy ?? (bot()?.claimed ? "bot" : "bot, not connected yet"))),
    el("button", { type: "button", class: "bare", title: "More", "aria-label": "More", disabled: !ui.customer, onclick: phoneMenu }, icon("more")));
  paint("phone", ui.customer, messages, phoneBlank(chat));
  const start = $("phone-start");
  const blocked = Boolean(chat?.blocked);
  start.hidden = !ui.customer || !(blocked || !messages.length);
  start.textContent = blocked ? "UNBLOCK" : "START";
  $("phone-form").hidden = !ui.customer || !start.hidden;
  const fresh = ui.customer && !blocked && messages.filter((message) => !message.from_bot && !message.text?.startsWith("/")).length === 0;
  $("chips").replaceChildren(...(fresh ? HINTS.map((text) => el("button", { type: "button", class: "chip",
    onclick: () => act("phone", "/send", { text, start: true }) }, text)) : []));
  drawKeyboard(messages);
}

function drawKeyboard(messages) {
  const from = messages.filter((message) => message.keyboard).at(-1);
  const rows = from && !ui.dismissed.has(from.seq) ? from.keyboard.keyboard : null;
  $("keyboard").hidden = !rows;
  $("keyboard").replaceChildren(...(rows ?? []).map((row) => el("div", {}, row.map((button) => el("button", { type: "button", class: "key",
    onclick: () => {
      if (from.keyboard.one_time_keyboard) ui.dismissed.add(from.seq);
      act("phone", "/send", { text: button.text });
    } }, button.text)))));
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

function attachMenu(event) {
  const pick = (kind, accept) => () => {
    const input = $("file");
    input.accept = accept;
    input.onchange = async () => {
      const form = new FormData();
      form.append("caption", $("phone-input").value);
      form.append("file", input.files[0]);
      input.value = "";
      if (await act("phone", `/${kind}`, form)) $("phone-input").value = "";
    };
    input.click();
  };
  menu(event.currentTarget, [
    item("image", "Photo…", pick("photo", "image/*")),
    item("image", "A sample photo", () => act("phone", "/photo", { caption: $("phone-input").value })),
    item("file", "Document…", pick("document", "")),
    item("desk", "A voice message", () => act("phone", "/voice", {})),
  ]);
}

async function commandMenu(event) {
  const anchor = event.currentTarget;
  await loadCommands();
  const nodes = ui.commands.map(({ command, description }) => el("button", { type: "button", role: "menuitem",
    onclick: () => act("phone", "/send", { text: `/${command}` }) }, el("code", {}, `/${command}`), el("small", {}, description)));
  menu(anchor, nodes.length ? nodes : [el("p", {}, "The bot has not set any commands yet.")]);
}

async function addCustomer(who) {
  try {
    const user = await api("POST", "/sim/customers", who);
    if (!state.customers.some((other) => other.id === user.id)) state.customers.push(user);
    chooseCustomer(user.id);
  } catch (error) {
    toast("phone", error.message, true);
  }
}

// The operators' group ---------------------------------------------------------------------

const threadOf = (message) => message.thread_id ?? GENERAL;
const topicOf = (id) => state.group?.topics.find((topic) => topic.message_thread_id === id);

function topicAvatar(topic) {
  if (!topic) return el("span", { class: "avatar plain" }, icon("hash"));
  const index = [7322096, 16766590, 13338331, 9367192, 16749490, 16478047].indexOf(topic.icon_color);
  return el("span", { class: `avatar h${[4, 1, 5, 2, 6, 0][Math.max(0, index)]}` }, [...topic.name.trim()][0]?.toUpperCase() ?? "#");
}

function topicRow(id, topic, last) {
  const unread = ui.unread.get(`room:${id}`);
  const preview = last ? `${service(last) ? "" : `${last.from.id === ui.actor ? "You" : last.from.first_name}: `}${summary(last)}` : "No messages yet";
  const kind = `topic${id === ui.topic ? " on" : ""}${topic?.closed ? " closed" : ""}`;
  return el("button", { type: "button", class: kind, role: "option", ariaSelected: String(id === ui.topic), onclick: () => openTopic(id) },
    topicAvatar(topic), el("b", {}, el("span", {}, topic?.name ?? "General"), topic?.closed ? icon("lock") : null),
    el("time", {}, last ? clock(last.date) : ""), el("small", {}, preview), unread ? el("span", { class: "badge" }, String(unread)) : el("i"));
}

function drawTopics() {
  const group = state.group;
  if (!group) return;
  const people = group.members.filter((member) => !member.user.is_bot && member.status !== "left").length;
  $("group-head").replaceChildren(el("span", { class: "avatar h5" }, icon("desk")),
    el("div", {}, el("b", {}, group.title), el("small", {}, `${people} operators, ${group.topics.length} topics`)));
  const lasts = new Map();
  for (const message of alive(group)) lasts.set(threadOf(message), message);
  const topics = [...group.topics].sort((a, b) =>
    (lasts.get(b.message_thread_id)?.seq ?? 0) - (lasts.get(a.message_thread_id)?.seq ?? 0));
  const rows = [topicRow(GENERAL, null, lasts.get(GENERAL)),
    ...topics.map((topic) => topicRow(topic.message_thread_id, topic, lasts.get(topic.message_thread_id)))];
  if (!topics.length) rows.push(el("div", { class: "hint" }, "Escalations show up here as topics, one per customer."));
  $("topics").replaceChildren(...rows);
  const total = [...ui.unread].reduce((sum, [name, count]) => sum + (name.startsWith("room:") ? count : 0), 0);
  $("desk-unread").hidden = !total;
  $("desk-unread").textContent = String(total);
}

function openTopic(id) {
  ui.topic = id;
  ui.unread.delete(`room:${id}`);
  $("desk").dataset.open = "yes";
  draw();
}

function drawRoom() {
  const topic = topicOf(ui.topic);
  const busy = ui.typing.get(typingKey("room"));
  const messages = alive(state.group).filter((message) => threadOf(message) === ui.topic);
  const count = messages.filter((message) => !service(message)).length;
  const note = busy ?? (topic?.closed ? "closed" : `${count} message${count === 1 ? "" : "s"}`);
  const toggle = topic && el("button", { type: "button", class: "bare", title: topic.closed ? "Reopen the topic" : "Close the topic",
    ariaLabel: topic.closed ? "Reopen the topic" : "Close the topic",
    onclick: () => act("room", `/topics/${ui.topic}/${topic.closed ? "reopen" : "close"}`) }, icon(topic.closed ? "open" : "lock"));
  const more = topic && el("button", { type: "button", class: "bare", title: "More", ariaLabel: "More about the topic", onclick: (event) => menu(event.currentTarget, [
    item("edit", "Rename", () => renameDialog(topic)),
    item("trash", "Delete the topic", () => act("room", `/topics/${ui.topic}/delete`), "danger"),
  ]) }, icon("more"));
  $("room-head").replaceChildren(
    el("button", { type: "button", class: "bare back", ariaLabel: "Back to the topics", onclick: () => { delete $("desk").dataset.open; } }, icon("back")),
    topicAvatar(topic), el("div", { class: "who" }, el("b", {}, el("span", {}, topic?.name ?? "General"), topic?.closed ? icon("lock") : null),
      el("small", { class: busy ? "busy" : "" }, note)), ...[toggle, more].filter(Boolean));
  const blank = el("div", { class: "empty" }, el("span", { class: "avatar h5" }, icon("desk")), el("b", {}, "The desk is quiet"),
    "Escalations show up here as topics. Write as a customer and ask for a person.");
  paint("room", ui.topic, messages, blank);
  $("actors").replaceChildren(...state.operators.map(({ user }) => el("button", { type: "button", class: user.id === ui.actor ? "actor on" : "actor",
    role: "radio", ariaChecked: String(user.id === ui.actor), title: `Act as ${user.first_name}`, onclick: () => { ui.actor = user.id; draw(); } },
  avatar(user), user.first_name)));
}

const sendInRoom = (text, reply_to) => act("room", "/send", { text, reply_to, thread: ui.topic === GENERAL ? undefined : ui.topic });

// Dialogs ----------------------------------------------------------------------------------

function dialog(title, text, fields, label, go, danger = false) {
  const box = $("dialog");
  const inputs = Object.fromEntries(fields.map(([name, , value]) => [name, el("input", { name, value: value ?? "", autocomplete: "off" })]));
  const submit = async (event) => {
    event.preventDefault();
    box.close();
    await go(Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, input.value.trim()])));
  };
  const labels = fields.map(([name, caption]) => el("label", {}, caption, inputs[name]));
  const pairs = labels.length === 4 ? [el("div", { class: "two" }, labels.slice(0, 2)), el("div", { class: "two" }, labels.slice(2))] : labels;
  box.replaceChildren(el("form", { onsubmit: submit }, el("h2", {}, title), text ? el("p", {}, text) : null, pairs,
    el("menu", {}, el("button", { type: "button", onclick: () => box.close() }, "Cancel"),
      el("button", { type: "submit", class: danger ? "go danger" : "go" }, label))));
  box.showModal();
  box.querySelector("input")?.select();
}

const customerDialog = () => {
  const next = PERSONAS[state.customers.length] ?? {};
  dialog("Add a customer", "They get a phone of their own.", [["first_name", "First name", next.first_name], ["last_name", "Last name", next.last_name],
    ["username", "Username", next.username], ["language_code", "Language", next.language_code ?? "en"]], "Add", addCustomer);
};
const editDialog = (message, where) => dialog("Edit message", "", [["text", "Text", message.text]], "Save",
  ({ text }) => act(where, "/edit", { message_id: message.message_id, text }));
const replyDialog = (message, where) => dialog("Reply", summary(message), [["text", "Text", ""]], "Send",
  ({ text }) => (where === "phone" ? act("phone", "/send", { text, reply_to: message.message_id }) : sendInRoom(text, message.message_id)));
const renameDialog = (topic) => dialog("Rename the topic", "", [["name", "Name", topic.name]], "Rename",
  ({ name }) => act("room", `/topics/${topic.message_thread_id}/rename`, { name }));
const resetDialog = () => dialog("Start over?", "All customers, messages, topics and faults are forgotten. A bot that is connected stays so.",
  [], "Start over", () => api("POST", "/sim/reset"), true);

// State and events -------------------------------------------------------------------------

function draw() {
  if (!ready) return;
  const status = $("status");
  status.className = `status ${bot()?.claimed ? "live" : ""}`;
  status.lastElementChild.replaceChildren(...(bot()?.claimed ? [`@${bot().username} is connected`]
    : ["Waiting for a bot: set ", el("code", {}, `TELEGRAM_API_URL=${location.origin}`)]));
  drawPeople();
  drawPhone();
  drawTopics();
  drawRoom();
}

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

async function load() {
  const found = await api("GET", "/sim/state");
  Object.assign(state, { bots: found.bots, customers: found.customers, groupId: found.operators_chat });
  state.chats.clear();
  painted.clear();
  found.chats.forEach(adopt);
  if (!state.customers.some((user) => user.id === ui.customer)) ui.customer = state.customers[0]?.id ?? null;
  if (ui.topic !== GENERAL && !topicOf(ui.topic)) ui.topic = GENERAL;
  ready = true;
  early.filter((event) => event.id > found.event_id).forEach(({ kind, data }) => apply(kind, data));
  early = [];
  draw();
}

function chatOf(data) {
  const group = state.chats.get(String(data.chat_id));
  return group ?? privateChat(data.chat_id);
}

function received(message) {
  const isGroup = message.chat_id === state.groupId;
  if (!isGroup && message.chat.id > 0 && !privateChat(message.chat_id)) {
    adopt({ ...message.chat, bot_key: bot()?.key, started: true, members: [], topics: [] });
  }
  chatOf(message)?.messages.set(message.message_id, message);
  const name = isGroup ? `room:${threadOf(message)}` : `phone:${message.chat_id}`;
  if (message.from_bot) ui.typing.delete(name);
  const foreign = isGroup ? message.from.id !== ui.actor : message.from_bot;
  const seen = isGroup ? threadOf(message) === ui.topic : message.chat_id === ui.customer;
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
    setTimeout(() => { ui.typing.delete(name); draw(); }, 5000);
  },
  callback_answer: (answer) => {
    const where = answer.chat_id === state.groupId ? "room" : "phone";
    if (!answer.text || answer.user_id !== (where === "phone" ? ui.customer : ui.actor)) return;
    if (answer.show_alert) alertBox(where, answer.text);
    else toast(where, answer.text);
  },
  reset: () => { Object.assign(ui, { customer: null, topic: GENERAL }); ui.unread.clear(); ui.typing.clear(); ready = false; load(); },
};

function apply(kind, data) {
  handlers[kind](data);
}

function listen() {
  const source = new EventSource("/sim/events");
  source.addEventListener("hello", () => load());
  for (const kind of Object.keys(handlers)) {
    source.addEventListener(kind, (event) => {
      const data = JSON.parse(event.data);
      if (!ready) early.push({ id: Number(event.lastEventId), kind, data });
      else apply(kind, data);
      draw();
    });
  }
  source.onerror = () => {
    $("status").className = "status down";
    $("status").lastElementChild.textContent = "The simulator does not answer; trying again…";
  };
}

function composer(form, input, send) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = input.value.trim();
    if (!text) return;
    input.value = "";
    if (!(await send(text))) input.value = text;
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
}

composer($("phone-form"), $("phone-input"), (text) => act("phone", "/send", { text }));
composer($("room-form"), $("room-input"), sendInRoom);
$("phone-start").addEventListener("click", () => act("phone", "/start"));
$("attach").addEventListener("click", attachMenu);
$("commands").addEventListener("click", commandMenu);
$("reset").addEventListener("click", resetDialog);
document.addEventListener("click", (event) => {
  const inside = event.target.closest("#menu");
  if (!$("menu").hidden && (inside ? event.target.closest("button") : !event.target.closest("[title]"))) $("menu").hidden = true;
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") $("menu").hidden = true; });
document.querySelectorAll("[data-show]").forEach((tab) => tab.addEventListener("click", () => { document.body.dataset.pane = tab.dataset.show; }));
document.querySelectorAll("[data-icon]").forEach((place) => {
  if (place.dataset.icon === "battery") {
    const svg = icon("check");
    svg.setAttribute("viewBox", "0 0 26 14");
    svg.firstChild.setAttribute("d", "M3 2h16a2 2 0 0 1 2 2v6a2 2 0 0 1-2 2H3a2 2 0 0 1-2-2V4a2 2 0 0 1 2-2zM24 5.5v3M5 7h10");
    place.append(svg);
  } else place.append(icon(place.dataset.icon));
});
const tick = () => { $("clock").textContent = clock(Date.now() / 1000); };
tick();
keepEnd("phone");
keepEnd("room");
setInterval(tick, 10_000);
listen();

// Texts with their entities, as nodes. What people and bots write is never read as HTML.

import { el } from "./dom.js";
import { attempt } from "./overlays.js";
import { write } from "./state.js";

export const LINK = /^(https?:|mailto:|tg:)/i;

const block = (entity) => ["blockquote", "expandable_blockquote", "pre"].includes(entity.type);

/** Render text with its entities; their offsets are UTF-16 units, as are JavaScript's. */
export function rich(text, entities, where) {
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
  // A block has a direction of its own, as a paragraph has.
  const dir = block(entity) ? "auto" : undefined;
  const tags = { bold: "b", italic: "i", underline: "u", strikethrough: "s", code: "code", blockquote: "blockquote", pre: "pre" };
  if (tags[entity.type]) return el(tags[entity.type], { dir }, nodes);
  if (entity.type === "expandable_blockquote") {
    return el("blockquote", { class: "folded", dir, onclick: (event) => event.currentTarget.classList.toggle("folded") }, nodes);
  }
  if (entity.type === "spoiler") {
    return el("span", { class: "spoiler", onclick: (event) => event.currentTarget.classList.toggle("shown") }, nodes);
  }
  if (entity.type === "bot_command" && where) {
    const send = () => attempt(where, write(where, plain));
    return el("a", { href: "#", onclick: (event) => { event.preventDefault(); send(); } }, nodes);
  }
  let url = { text_link: entity.url, url: plain, email: `mailto:${plain}` }[entity.type];
  if (url && entity.type === "url" && !LINK.test(url)) url = `http://${url}`;
  if (url && LINK.test(url)) return el("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, nodes);
  if (["mention", "hashtag", "text_mention"].includes(entity.type)) return el("a", {}, nodes);
  return el("span", {}, nodes);
}

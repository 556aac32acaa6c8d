// Making nodes, and changing only those that show something else than before.

import { icon } from "./icons.js";

export const $ = (id) => document.getElementById(id);

export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const versions = new WeakMap();
const kept = new WeakMap();
const nameOf = (control) => control.ariaLabel ?? control.textContent;

/**
 * Let `build(node)` fill the node anew, unless it shows this version already.
 * Who was on one of its buttons is on the button of the same name afterwards.
 */
export function refresh(node, version, build) {
  const shown = JSON.stringify(version);
  if (versions.get(node) === shown) return;
  versions.set(node, shown);
  const focused = document.activeElement;
  const held = focused !== node && node.contains(focused) ? nameOf(focused) : null;
  build(node);
  if (held !== null) [...node.querySelectorAll("button, a")].find((one) => nameOf(one) === held)?.focus({ preventScroll: true });
}

/**
 * Make `parent` hold one node for each of the items `{key, version, make, build}`, in their order; returns the
 * nodes made now. A node stays as long as its key does: else what happens elsewhere would take clicks,
 * focus and selections from under the user, and a screen reader would read the whole list again.
 */
export function reconcile(parent, items) {
  const before = kept.get(parent) ?? new Map();
  const nodes = new Map();
  const made = [];
  for (const { key, version, make, build } of items) {
    const node = before.get(key) ?? make();
    if (!before.has(key)) made.push(node);
    refresh(node, version, build);
    nodes.set(key, node);
  }
  kept.set(parent, nodes);
  before.forEach((node, key) => { if (!nodes.has(key)) node.remove(); });
  let at = parent.firstChild;
  for (const node of nodes.values()) {
    // A node that is moved loses the focus, and a press that has begun on it: around such a one the others move.
    if (node !== at && node.matches(":active, :focus-within")) {
      while (at !== node) {
        const next = at.nextSibling;
        parent.append(at);
        at = next;
      }
    }
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
  }
  return made;
}

export const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
export const hue = (id) => Math.abs(id) % 7;
// By characters: an index into the string would cut an emoji in two.
export const initial = (name) => [...(name ?? "").trim()][0] ?? "";
export const cut = (text, length) => [...text].slice(0, length).join("");
export const fullName = (user) => [user.first_name, user.last_name].filter(Boolean).join(" ");
export const clock = (unix) => new Date(unix * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

/** Text in its own direction: what people write may run right to left. */
export const auto = (text, kind) => el("span", { dir: "auto", class: kind }, text);
/** Text for screen readers alone. */
export const spoken = (text) => el("span", { class: "spoken", dir: "ltr" }, text);

export function avatar(user) {
  if (user.is_bot) return el("span", { class: "avatar h4", ariaHidden: "true" }, icon("bubble"));
  const letters = (initial(user.first_name) || "?") + initial(user.last_name);
  return el("span", { class: `avatar h${hue(user.id)}`, ariaHidden: "true" }, letters.toUpperCase());
}

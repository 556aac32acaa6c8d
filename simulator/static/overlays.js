// What lies above the panes: toasts, menus, alerts and dialogs.

import { $, el } from "./dom.js";
import { icon } from "./icons.js";
import { bot, post } from "./state.js";

export function toast(where, text, bad = false) {
  const node = el("div", { class: bad ? "toast bad" : "toast", dir: "auto" }, text);
  $(`${where}-toasts`).append(node);
  setTimeout(() => node.remove(), bad ? 5000 : 3200);
}

/** What `doing` gives; a refusal is shown on the "phone" or in the "room", and null returned. */
export async function attempt(where, doing) {
  try {
    return await doing;
  } catch (error) {
    toast(where, error.message, true);
    return null;
  }
}

export const act = (where, path, body) => attempt(where, post(where, path, body));

/** A bot's alert: it stands in the middle of the pane it belongs to until it is closed. */
export function alertBox(where, text) {
  const box = el("dialog", { class: "alert", role: "alertdialog", ariaLabel: bot()?.first_name ?? "Bot", onclose: () => box.remove() },
    el("b", { dir: "auto" }, bot()?.first_name ?? "Bot"), el("p", { dir: "auto" }, text),
    el("button", { type: "button", onclick: () => box.close() }, "OK"));
  document.body.append(box);
  const pane = document.querySelector(where === "phone" ? ".phone" : ".room").getBoundingClientRect();
  if (pane.width) Object.assign(box.style, { left: `${2 * (pane.left + pane.width / 2) - innerWidth}px`, right: "0" });
  box.showModal();
}

/** A menu by its button. The browser closes it with Escape and at a click anywhere else. */
export function menu(anchor, items) {
  const node = $("menu");
  node.replaceChildren(...items);
  node.showPopover();
  const at = anchor.getBoundingClientRect();
  const box = node.getBoundingClientRect();
  const below = at.top < innerHeight / 2;
  node.style.left = `${Math.max(8, Math.min(at.left, innerWidth - box.width - 8))}px`;
  node.style.top = `${below ? at.bottom + 8 : Math.max(8, at.top - box.height - 8)}px`;
  node.querySelector("button")?.focus();
}

export function item(name, label, onclick, kind) {
  return el("button", { type: "button", class: kind, onclick: () => { $("menu").hidePopover(); onclick(); } }, name && icon(name), label);
}

/** Enter submits the form of a field with several lines; Shift and Enter begin a new line. */
export function enterSubmits(field) {
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    field.form.requestSubmit();
  });
}

function fieldOf({ name, value = "", lines = false }) {
  if (!lines) return el("input", { name, value, autocomplete: "off", dir: "auto" });
  const field = el("textarea", { name, value, rows: 2, dir: "auto", maxLength: 4096 });
  enterSubmits(field);
  return field;
}

/**
 * Ask for `fields` ({name, label, value?, lines?}) and give what was entered to `go`. Where that throws, its
 * sentence is shown and the dialog stays, and with it what was typed.
 */
export function dialog({ title, text, fields, label, go, danger = false }) {
  const box = $("dialog");
  const inputs = fields.map(fieldOf);
  const trouble = el("p", { class: "trouble", role: "alert" });
  const done = el("button", { type: "submit", class: danger ? "go danger" : "go" }, label);
  const submit = async (event) => {
    event.preventDefault();
    if (done.disabled) return;
    done.disabled = true;
    trouble.textContent = "";
    try {
      await go(Object.fromEntries(inputs.map((input) => [input.name, input.value.trim()])));
      // Cancelled meanwhile, the box may hold another dialog.
      if (form.isConnected) box.close();
    } catch (error) {
      trouble.textContent = error.message;
    }
    done.disabled = false;
  };
  const labels = fields.map((field, index) => el("label", {}, field.label, inputs[index]));
  const pairs = labels.length === 4 ? [el("div", { class: "two" }, labels.slice(0, 2)), el("div", { class: "two" }, labels.slice(2))] : labels;
  const form = el("form", { onsubmit: submit }, el("h2", {}, title), text && el("p", { dir: "auto" }, text), pairs, trouble,
    el("menu", {}, el("button", { type: "button", onclick: () => box.close() }, "Cancel"), done));
  box.replaceChildren(form);
  box.showModal();
  inputs[0]?.select();
}

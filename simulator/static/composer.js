// The fields to write in. A draft belongs to its chat: another chat's field does not show it.

import { $ } from "./dom.js";
import { attempt, enterSubmits } from "./overlays.js";
import { chatName, ui } from "./state.js";

/** Show the draft of the chat that is open. */
export function showDraft(where) {
  const input = $(`${where}-input`);
  const chat = chatName(where);
  if (input.dataset.chat === chat) return;
  if (input.dataset.chat) ui.drafts.set(input.dataset.chat, input.value);
  input.dataset.chat = chat;
  input.value = ui.drafts.get(chat) ?? "";
}

/** Forget all drafts, those in the fields as well. */
export function dropDrafts() {
  ui.drafts.clear();
  for (const where of ["phone", "room"]) {
    delete $(`${where}-input`).dataset.chat;
    $(`${where}-input`).value = "";
  }
}

/** Empty the field and send its text; a refused one comes back to its chat, unless the next is being typed there. */
export async function sendDraft(where, send) {
  const input = $(`${where}-input`);
  const chat = chatName(where);
  const text = input.value.trim();
  input.value = "";
  if (await attempt(where, send(text))) return;
  if (input.dataset.chat === chat) input.value ||= text;
  else if (!ui.drafts.get(chat)) ui.drafts.set(chat, text);
}

export function composer(where, send) {
  const input = $(`${where}-input`);
  input.form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (input.value.trim()) sendDraft(where, send);
  });
  enterSubmits(input);
}

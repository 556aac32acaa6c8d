// The simulator's page. State comes from /sim/state, changes from /sim/events, acts go to /sim/....
// Everything people or bots write enters the page as text nodes, never as HTML.

import { attachMenu, commandMenu, drawPeople, drawPhone } from "./phone.js";
import { composer, showDraft } from "./composer.js";
import { drawRoom, drawTopics } from "./desk.js";
import { $, clock, el, refresh } from "./dom.js";
import { listen } from "./events.js";
import { battery, icon } from "./icons.js";
import { act, dialog } from "./overlays.js";
import { api, bot, chatName, onRedraw, shown, ui, write } from "./state.js";
import { keepEnd } from "./thread.js";

function drawStatus() {
  const live = bot()?.claimed;
  refresh($("status"), [live, bot()?.username], (node) => {
    node.className = live ? "status live" : "status";
    node.lastElementChild.replaceChildren(...(live ? [`@${bot().username} is connected`]
      : ["Waiting for a bot: set ", el("code", {}, `TELEGRAM_API_URL=${location.origin}`)]));
  });
}

onRedraw(() => {
  for (const where of ["phone", "room"]) {
    if (shown(where)) ui.unread.delete(chatName(where));
    showDraft(where);
  }
  drawStatus();
  drawPeople();
  drawPhone();
  drawTopics();
  drawRoom();
});

const resetDialog = () => dialog({ title: "Start over?", fields: [], label: "Start over", danger: true,
  text: "All customers, messages, topics and faults are forgotten. A bot that is connected stays so.", go: () => api("POST", "/sim/reset") });

for (const where of ["phone", "room"]) {
  composer(where, (text) => write(where, text));
  keepEnd(where);
}
$("phone-start").addEventListener("click", () => act("phone", "/start"));
$("attach").addEventListener("click", attachMenu);
$("commands").addEventListener("click", commandMenu);
$("reset").addEventListener("click", resetDialog);
document.querySelectorAll("[data-show]").forEach((tab) => tab.addEventListener("click", () => { document.body.dataset.pane = tab.dataset.show; }));
document.querySelectorAll("[data-icon]").forEach((place) => place.append(place.dataset.icon === "battery" ? battery() : icon(place.dataset.icon)));
const tick = () => { $("clock").textContent = clock(Date.now() / 1000); };
tick();
setInterval(tick, 10_000);
listen();

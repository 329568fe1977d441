// The buttons under the bot's messages: drawn, pressed as whoever speaks, and what the platform tells of it.

import { el, marked, stateOf } from "./markdown.js";
import { notice, now } from "./here.js";
import { ask } from "./wire.js";
import { say } from "./words.js";

const PRESS_PATIENCE = 65_000;
const TOAST_SECONDS = 8;
// Being pressed, as "platform n id": drawn busy even when their message is drawn anew.
const busy = new Set();

function button(message, told) {
  const key = `${now.platform} ${message.n} ${told.id}`;
  const attributes = {
    type: "button",
    class: "press",
    "data-testid": "button",
    "data-id": told.id,
    "data-tone": told.tone ?? "",
    disabled: Boolean(told.spent),
    "aria-busy": busy.has(key) ? "true" : null,
  };
  const node = el("button", attributes, told.label);
  node.addEventListener("click", () => press(message, told, key));
  return node;
}

export function buttons(message) {
  // What some platforms put in the place of a card's buttons.
  const replaced = message.card?.replaced;
  if (!message.buttons?.length && !replaced) return null;
  const row = (message.buttons ?? []).map((told) => button(message, told));
  if (replaced) row.push(el("span", { class: "replaced" }, replaced));
  return el("div", { class: "buttons", role: "group", "aria-label": say("buttons") }, ...row);
}

function mark(message, told, key, isBusy) {
  if (isBusy) busy.add(key);
  else busy.delete(key);
  const place = `[data-n="${Number(message.n)}"] button[data-id="${CSS.escape(told.id)}"]`;
  for (const node of document.querySelectorAll(place)) {
    if (isBusy) node.setAttribute("aria-busy", "true");
    else node.removeAttribute("aria-busy");
  }
}

async function press(message, told, key) {
  if (busy.has(key)) return;
  mark(message, told, key, true);
  const body = { platform: now.platform, person: now.person.id, n: message.n, button: told.id };
  try {
    await ask("/chat/press", { body, patience: PRESS_PATIENCE });
  } catch (error) {
    const { status } = error;
    notice(status ? say("not_pressed", { status }) : say("press_lost"), "failed", 10);
  }
  mark(message, told, key, false);
}

const toasted = new Set();

// A toast is for whoever pressed, once.
export function showToasts(changed) {
  for (const message of changed) {
    const key = `${now.platform} ${message.n}`;
    const { toast } = message;
    if (!toast || message.from !== now.person?.id || toasted.has(key)) continue;
    toasted.add(key);
    notice(marked(toast), stateOf(toast), TOAST_SECONDS);
  }
}

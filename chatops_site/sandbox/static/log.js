// The log of the open conversation: messages in order, new ones in their place, the view kept at the end.

import { el } from "./markdown.js";
import { $, inside, messages, nameOf, now } from "./here.js";
import { draw, emptyLog } from "./messages.js";
import { say } from "./words.js";

const NEAR_BOTTOM = 60;

const isNearBottom = (log) => log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_BOTTOM;

function drawn(message) {
  const mine = message.from === now.person?.id;
  return draw(message, { mine, quoted: quotedOf(message), original: messages.get(message.reply_to), nameOf });
}

// What is answered needs no quotation while only its other answers stand between.
function quotedOf(message) {
  const between = inside(now.conversation).filter((each) => each.n > message.reply_to && each.n < message.n);
  const follows = between.every((each) => each.reply_to === message.reply_to);
  return follows ? null : messages.get(message.reply_to);
}

export function showLog() {
  const log = $("log");
  log.setAttribute("aria-live", "off");
  const nodes = inside(now.conversation).map(drawn);
  if (!now.conversation) nodes.push(el("p", { class: "empty" }, say("no_conversation")));
  else if (nodes.length === 0) nodes.push(emptyLog());
  log.replaceChildren(...nodes);
  toBottom();
  setTimeout(() => log.setAttribute("aria-live", "polite"), 100);
}

// Only those of the open conversation are drawn.
export function showChanged(changed) {
  const log = $("log");
  const follows = isNearBottom(log);
  const here = changed.filter((message) => message.conversation === now.conversation?.id);
  for (const message of here.sort((one, other) => one.n - other.n)) place(message);
  if (here.some((message) => message.from === now.person?.id) || follows) toBottom();
  else if (here.length) $("newer").hidden = false;
}

function place(message) {
  const node = drawn(message);
  const before = $("log").querySelector(`[data-n="${Number(message.n)}"]`);
  if (before) return replace(before, node);
  $("log").querySelector(".empty")?.remove();
  const later = [...$("log").children].find((each) => Number(each.dataset.n) > message.n);
  return $("log").insertBefore(node, later ?? null);
}

// Whoever stands on a button stays there while its message changes.
function replace(before, node) {
  const held = before.contains(document.activeElement) ? document.activeElement.dataset.id : undefined;
  before.replaceWith(node);
  if (held) node.querySelector(`button[data-id="${CSS.escape(held)}"]`)?.focus();
}

function toBottom() {
  $("log").scrollTop = $("log").scrollHeight;
  $("newer").hidden = true;
}

export function listenToLog() {
  let isAtEnd = true;
  $("newer").addEventListener("click", toBottom);
  $("log").addEventListener("scroll", () => {
    isAtEnd = isNearBottom($("log"));
    if (isAtEnd) $("newer").hidden = true;
  });
  // A line above or beneath it may come and go.
  new ResizeObserver(() => isAtEnd && toBottom()).observe($("log"));
}

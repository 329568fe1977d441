// The conversations of whoever speaks: the list, its unread counts, and the head of the one that is open.

import { el, plain } from "./markdown.js";
import { $, inside, last, now, spokenIn, state, titleOf } from "./here.js";
import { language, say } from "./words.js";

const seen = new Map();
const key = (where) => `${now.platform} ${where.id}`;

export function haveSeen(where) {
  if (where) seen.set(key(where), last(where)?.n ?? 0);
}

function unreadIn(where) {
  // What was said before a platform was opened is not news there.
  const before = seen.get(key(where));
  return before === undefined ? 0 : inside(where).filter((message) => message.n > before).length;
}

export function firstSight() {
  for (const where of state.conversations) if (!seen.has(key(where))) haveSeen(where);
}

export function forgetSeen() {
  seen.clear();
}

export function preview(message) {
  const text = message?.text ?? message?.markdown ?? "";
  const line = text.split("\n").find((each) => each.trim()) ?? say("empty_title");
  return plain(line.replace(/\[([^\]]+)\]\([^)]*\)/g, "$1").replace(/\*\*|`|^#+ /g, ""));
}

function conversationButton(where, open) {
  const current = where.id === now.conversation?.id;
  const unread = unreadIn(where);
  const count = el("span", { class: "count", "aria-label": say("unread", { count: unread }) }, String(unread));
  const attributes = { type: "button", class: "conversation", "data-testid": "conversation", "data-id": where.id };
  const button = el(
    "button",
    { ...attributes, "aria-current": current ? "true" : null },
    el("span", { class: "name" }, titleOf(where)),
    unread && !current ? count : null,
    el("span", { class: "preview", "aria-hidden": "true" }, ...preview(last(where))),
  );
  button.addEventListener("click", () => open(where));
  return button;
}

export function showConversations(open) {
  haveSeen(now.conversation);
  const list = $("conversations");
  const at = [...list.children].indexOf(document.activeElement);
  const mine = state.conversations.filter(spokenIn);
  list.replaceChildren(...mine.map((where) => conversationButton(where, open)));
  if (at >= 0) list.children[at]?.focus();
}

export function showConversation(open) {
  const where = now.conversation;
  const names = state.people.filter((each) => where?.members?.includes(each.id)).map((each) => each.name);
  const list = names.join(language === "en" ? ", " : "、");
  $("conversation-name").textContent = where ? titleOf(where) : "";
  $("conversation-members").textContent = names.length ? say("members", { names: list }) : "";
  $("log").setAttribute("aria-label", where ? say("log", { name: titleOf(where) }) : "");
  showConversations(open);
}

// The chat page of the sandbox: who speaks where, the log, and the line to the server.

import { el, plain } from "./markdown.js";
import { avatar, draw, emptyLog } from "./messages.js";
import { preparePane, showPane } from "./pane.js";
import { ask, pause } from "./wire.js";
import { language, say, switchLanguage, translate } from "./words.js";

const SAY_PATIENCE = 65_000;
const MOVE_PATIENCE = 65_000;
const LONGEST_PAUSE = 8;
const NEAR_BOTTOM = 60;

const $ = (id) => document.getElementById(id);
const state = { people: [], conversations: [], suggestions: [], forges: [], seq: 0, forge: null, jenkins: null, live: [] };
const messages = new Map();
const seen = new Map();
let person = null;
let conversation = null;
let recalled = -1;

// Following the server -------------------------------------------------------------------------------

async function follow() {
  for (;;) {
    const asked = performance.now();
    try {
      const answer = await ask(`/chat/events?since=${state.seq}`);
      // A sandbox that was reset or started anew counts from the beginning.
      if (answer.seq < state.seq) await load();
      else if (take(answer) === 0 && performance.now() - asked < 100) await pause(0.5);
    } catch {
      await comeBack();
    }
  }
}

async function comeBack() {
  for (let seconds = 1; ; seconds = Math.min(LONGEST_PAUSE, seconds * 2)) {
    notice(say("lost", { seconds }), "failed");
    await pause(seconds);
    notice(say("trying"), "failed");
    try {
      await load();
      notice(say("back"), "done", 4);
      return;
    } catch {
      continue;
    }
  }
}

async function load() {
  const answer = await ask("/chat/state");
  messages.clear();
  Object.assign(state, answer);
  for (const message of answer.messages) messages.set(message.n, message);
  for (const each of state.conversations) seen.set(each.id, last(each)?.n ?? 0);
  choosePerson(person?.id ?? remembered("person"));
}

function take(answer) {
  const changed = answer.messages.filter((message) => !same(message, messages.get(message.n)));
  for (const message of changed) messages.set(message.n, message);
  for (const part of ["forge", "jenkins", "live"]) if (answer[part]) state[part] = answer[part];
  const steps = answer.seq - state.seq;
  state.seq = answer.seq;
  showPane(state);
  showMessages(changed);
  return steps + changed.length;
}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

// Who speaks, and where --------------------------------------------------------------------------

function remembered(name) {
  return new URLSearchParams(location.search).get(name) || localStorage.getItem(`sandbox.${name}`);
}

const spokenIn = (where) => !where.members || where.members.includes(person?.id);
const inside = (where) => [...messages.values()].filter((message) => message.conversation === where?.id);
const last = (where) => inside(where).sort((one, other) => one.n - other.n).at(-1);
const titleOf = (where) => (where.private ? say("private") : where.name);

function choosePerson(id) {
  const wasPrivate = conversation?.private;
  person = state.people.find((each) => each.id === id) ?? state.people[0] ?? null;
  if (person) localStorage.setItem("sandbox.person", person.id);
  recalled = -1;
  const mine = state.conversations.filter(spokenIn);
  const wanted = conversation?.id ?? remembered("conversation");
  const same = mine.find((where) => where.id === wanted);
  const alike = mine.find((where) => Boolean(where.private) === Boolean(wasPrivate));
  chooseConversation(same ?? alike ?? mine[0] ?? null);
}

function chooseConversation(where) {
  conversation = where;
  if (where) localStorage.setItem("sandbox.conversation", where.id);
  showEverything();
}

function showEverything() {
  translate(document);
  $("language").textContent = say("other_language");
  $("language").lang = language === "en" ? "zh-Hans" : "en";
  $("language").setAttribute("aria-label", say("other_language_label"));
  showPerson();
  showConversation();
  showSuggestions();
  showLog();
  showPane(state);
}

function showPerson() {
  const options = state.people.map((each) =>
    el("option", { value: each.id }, each.note ? `${each.name} · ${each.note}` : each.name),
  );
  $("person").replaceChildren(...options);
  $("person").value = person?.id ?? "";
  if (person) $("avatar").replaceChildren(avatar(person));
  $("input").placeholder = person ? say("placeholder", { name: person.name }) : "";
  for (const anchor of document.querySelectorAll("[data-link]")) {
    const address = state[anchor.dataset.link] ?? "";
    anchor.hidden = !/^https?:/.test(address);
    if (!anchor.hidden) anchor.href = address;
  }
}

function showConversation() {
  const names = state.people.filter((each) => conversation?.members?.includes(each.id)).map((each) => each.name);
  const list = names.join(language === "en" ? ", " : "、");
  $("conversation-name").textContent = conversation ? titleOf(conversation) : "";
  $("conversation-members").textContent = names.length ? say("members", { names: list }) : "";
  $("log").setAttribute("aria-label", conversation ? say("log", { name: titleOf(conversation) }) : "");
  showConversations();
}

function preview(message) {
  const text = message?.text ?? message?.markdown ?? "";
  const line = text.split("\n").find((each) => each.trim()) ?? say("empty_title");
  return plain(line.replace(/\[([^\]]+)\]\([^)]*\)/g, "$1").replace(/\*\*|`|^#+ /g, ""));
}

function conversationButton(where) {
  const current = where.id === conversation?.id;
  const unread = inside(where).filter((message) => message.n > (seen.get(where.id) ?? 0)).length;
  const count = el("span", { class: "count", "aria-label": say("unread", { count: unread }) }, String(unread));
  const button = el(
    "button",
    {
      type: "button",
      class: "conversation",
      "data-testid": "conversation",
      "data-id": where.id,
      "aria-current": current ? "true" : null,
    },
    el("span", { class: "name" }, titleOf(where)),
    unread && !current ? count : null,
    el("span", { class: "preview", "aria-hidden": "true" }, ...preview(last(where))),
  );
  button.addEventListener("click", () => openConversation(where));
  return button;
}

function openConversation(where) {
  chooseConversation(where);
  document.querySelector(`.conversation[aria-current]`)?.focus();
}

function showConversations() {
  if (conversation) seen.set(conversation.id, last(conversation)?.n ?? 0);
  const at = [...$("conversations").children].indexOf(document.activeElement);
  $("conversations").replaceChildren(...state.conversations.filter(spokenIn).map(conversationButton));
  if (at >= 0) $("conversations").children[at]?.focus();
}

function showSuggestions() {
  const chips = state.suggestions.map((text) =>
    el("button", { type: "button", class: "chip", "data-testid": "suggestion", "data-into-input": text }, text),
  );
  $("suggestions").replaceChildren(...chips);
}

// The log ----------------------------------------------------------------------------------------

function drawn(message) {
  return draw(message, { mine: message.from === person?.id, original: originalOf(message) });
}

// What is answered needs no quotation while only its other answers stand between.
function originalOf(message) {
  const between = inside(conversation).filter((each) => each.n > message.reply_to && each.n < message.n);
  const follows = between.every((each) => each.reply_to === message.reply_to);
  return follows ? null : messages.get(message.reply_to);
}

function showLog() {
  const log = $("log");
  log.setAttribute("aria-live", "off");
  const nodes = inside(conversation).sort((one, other) => one.n - other.n).map(drawn);
  if (!conversation) nodes.push(el("p", { class: "empty" }, say("no_conversation")));
  else if (nodes.length === 0) nodes.push(emptyLog());
  log.replaceChildren(...nodes);
  toBottom();
  setTimeout(() => log.setAttribute("aria-live", "polite"), 100);
}

function showMessages(changed) {
  if (changed.length === 0) return;
  const log = $("log");
  const follows = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_BOTTOM;
  const here = changed.filter((message) => message.conversation === conversation?.id);
  for (const message of here.sort((one, other) => one.n - other.n)) place(message);
  if (here.some((message) => message.from === person?.id) || follows) toBottom();
  else if (here.length) $("newer").hidden = false;
  showConversations();
}

function place(message) {
  const node = drawn(message);
  const before = $("log").querySelector(`[data-n="${Number(message.n)}"]`);
  if (before) return before.replaceWith(node);
  $("log").querySelector(".empty")?.remove();
  const later = [...$("log").children].find((each) => Number(each.dataset.n) > message.n);
  return $("log").insertBefore(node, later ?? null);
}

function toBottom() {
  $("log").scrollTop = $("log").scrollHeight;
  $("newer").hidden = true;
}

let noticeTimer = 0;

function notice(text, kind = "", seconds = 0) {
  clearTimeout(noticeTimer);
  $("notice").textContent = text;
  $("notice").className = `notice ${kind}`;
  $("notice").hidden = !text;
  if (seconds) noticeTimer = setTimeout(() => notice(""), seconds * 1000);
}

async function moveTo(forge) {
  const name = state.forges.find((each) => each.name === forge).label;
  notice(say("moving", { name }));
  try {
    await ask("/chat/forge", { body: { forge }, patience: MOVE_PATIENCE });
    notice(say("moved", { name }), "done", 8);
  } catch {
    notice(say("not_moved", { name }), "failed", 10);
  }
}

// The message box --------------------------------------------------------------------------------

function setInput(text) {
  const input = $("input");
  input.value = text;
  input.setSelectionRange(text.length, text.length);
  fitInput();
}

function fitInput() {
  const input = $("input");
  input.style.height = "auto";
  input.style.height = `${Math.min(input.scrollHeight, 160) + 2}px`;
  $("send").disabled = !input.value.trim() || !conversation;
}

async function send() {
  const text = $("input").value.trim();
  if (!text || !conversation) return;
  setInput("");
  recalled = -1;
  const body = { person: person.id, conversation: conversation.id, text };
  try {
    await ask("/chat/say", { body, patience: SAY_PATIENCE });
  } catch (error) {
    if (!$("input").value) setInput(text);
    const status = error.status;
    notice(status ? say("not_taken", { status }) : say("not_sent"), "failed", 10);
  }
}

function recall(step) {
  const said = [...messages.values()].filter((each) => each.from === person?.id).sort((one, other) => other.n - one.n);
  const texts = said.map((each) => each.text).filter((text, at, all) => text !== all[at - 1]);
  const untouched = $("input").value === (texts[recalled] ?? "");
  const at = recalled + step;
  if (!untouched || at < -1 || at >= texts.length) return false;
  recalled = at;
  setInput(texts[at] ?? "");
  return true;
}

function onKey(event) {
  if (event.isComposing || event.keyCode === 229) return;
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    send();
  }
  const step = { ArrowUp: 1, ArrowDown: -1 }[event.key];
  if (step && recall(step)) event.preventDefault();
}

function listen() {
  $("form").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
    $("input").focus();
  });
  $("input").addEventListener("keydown", onKey);
  $("input").addEventListener("input", fitInput);
  $("person").addEventListener("change", () => choosePerson($("person").value));
  $("language").addEventListener("click", () => {
    switchLanguage();
    showEverything();
  });
  $("newer").addEventListener("click", toBottom);
  $("log").addEventListener("scroll", () => {
    if ($("log").scrollHeight - $("log").scrollTop - $("log").clientHeight < NEAR_BOTTOM) $("newer").hidden = true;
  });
  document.addEventListener("click", (event) => {
    const code = event.target.closest("[data-into-input]");
    if (!code) return;
    setInput(code.dataset.intoInput);
    $("pane").classList.remove("open");
    $("show-pane").setAttribute("aria-expanded", "false");
    $("input").focus();
  });
}

async function begin() {
  listen();
  preparePane(moveTo);
  showEverything();
  notice(say("loading"));
  try {
    await load();
    notice("");
  } catch {
    await comeBack();
  }
  if (matchMedia("(min-width: 720px)").matches) $("input").focus();
  follow();
}

begin();

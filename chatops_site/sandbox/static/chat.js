// The chat page of the sandbox: follows the server, and lets people choose who speaks where.

import { fitInput, forgetRecalled, listenToBox, showSuggestions } from "./box.js";
import { showToasts } from "./buttons.js";
import { $, messages, notice, now, remember, remembered, spokenIn, state } from "./here.js";
import { listenToLog, showChanged, showLog } from "./log.js";
import { el } from "./markdown.js";
import { avatar } from "./messages.js";
import { closePane, preparePane, showPane } from "./pane.js";
import { firstSight, forgetSeen, showConversation, showConversations } from "./places.js";
import { forgetNews, listenToMode, showMode, showModeChanged, showTabs } from "./platforms.js";
import { Unanswered, ask, pause } from "./wire.js";
import { language, say, switchLanguage, translate } from "./words.js";

const MOVE_PATIENCE = 65_000;
const LONGEST_PAUSE = 8;

// Another platform was chosen: what is known is of the old one.
let stale = false;
let leaving = new AbortController();
// The conversation that was opened last by a wish, not for want of another.
let wished = null;

// Following the server -------------------------------------------------------------------------------

async function follow() {
  for (;;) {
    try {
      if (stale) await load();
      await hear();
    } catch (error) {
      await recover(error);
    }
  }
}

async function recover(error) {
  // A fault of the page itself is none of the line's.
  if (!(error instanceof Unanswered)) {
    reportError(error);
    await pause(1);
  } else if (!error.isGivenUp) {
    await comeBack();
  }
}

async function hear() {
  const asked = performance.now();
  const answer = await ask(`/chat/events?${query()}&since=${state.seq}`, { leaving: leaving.signal });
  // A sandbox that was reset or started anew counts from the beginning.
  if (answer.seq < state.seq) await begin();
  else if (take(answer) === 0 && performance.now() - asked < 100) await pause(0.5);
}

const query = () => new URLSearchParams({ platform: now.platform });

async function comeBack() {
  for (let seconds = 1; ; seconds = Math.min(LONGEST_PAUSE, seconds * 2)) {
    notice(say("lost", { seconds }), "failed");
    await pause(seconds);
    notice(say("trying"), "failed");
    try {
      await begin();
      notice(say("back"), "done", 4);
      return;
    } catch (error) {
      if (!(error instanceof Unanswered)) throw error;
    }
  }
}

// As if the page had just been opened: nothing is news.
async function begin() {
  forgetSeen();
  forgetNews();
  await load();
}

async function load() {
  const wanted = now.platform;
  const answer = await ask(`/chat/state?${query()}`);
  if (now.platform !== wanted) return;
  stale = false;
  leaving = new AbortController();
  $("log").inert = false;
  messages.clear();
  Object.assign(state, answer);
  now.platform = answer.platform;
  for (const message of answer.messages) messages.set(message.n, message);
  firstSight();
  choosePerson(now.person?.id ?? remembered("person"));
}

function take(answer) {
  const changed = answer.messages.filter((message) => !same(message, messages.get(message.n)));
  for (const message of changed) messages.set(message.n, message);
  const before = state.platforms;
  for (const part of ["forge", "jenkins", "live", "platforms"]) if (answer[part]) state[part] = answer[part];
  const steps = answer.seq - state.seq;
  state.seq = answer.seq;
  showPane(state);
  showTabs(choosePlatform);
  showModeChanged(before);
  if (changed.length) showMessages(changed);
  return steps + changed.length;
}

function showMessages(changed) {
  showChanged(changed);
  showToasts(changed);
  showConversations(openConversation);
}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

// Who speaks, and where --------------------------------------------------------------------------

function choosePlatform(name) {
  if (name === now.platform) return;
  now.platform = name;
  remember("platform", name);
  stale = true;
  // Nothing of the old one is to be pressed as if it were of the new one.
  $("log").inert = true;
  showTabs(choosePlatform);
  leaving.abort();
}

function choosePerson(id) {
  const wasPrivate = now.conversation?.private;
  now.person = state.people.find((each) => each.id === id) ?? state.people[0] ?? null;
  if (now.person) remember("person", now.person.id);
  forgetRecalled();
  const mine = state.conversations.filter(spokenIn);
  const wanted = wished ?? remembered("conversation");
  const exact = mine.find((where) => where.id === wanted);
  const alike = mine.find((where) => Boolean(where.private) === Boolean(wasPrivate));
  now.conversation = exact ?? alike ?? mine[0] ?? null;
  showEverything();
}

function openConversation(where) {
  wished = where.id;
  remember("conversation", where.id);
  now.conversation = where;
  showEverything();
  document.querySelector(".conversation[aria-current]")?.focus();
}

function showEverything() {
  translate(document);
  $("language").textContent = say("other_language");
  $("language").lang = language === "en" ? "zh-Hans" : "en";
  $("language").setAttribute("aria-label", say("other_language_label"));
  showTabs(choosePlatform);
  showMode();
  showPerson();
  showConversation(openConversation);
  showSuggestions();
  showLog();
  showPane(state);
  fitInput();
}

function showPerson() {
  const { person } = now;
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

function listen() {
  listenToBox(closePane);
  listenToLog();
  listenToMode();
  preparePane(moveTo);
  $("person").addEventListener("change", () => choosePerson($("person").value));
  $("language").addEventListener("click", () => {
    switchLanguage();
    showEverything();
  });
}

// An address may name a platform that this sandbox has not; then the first one is shown.
async function open() {
  now.platform = remembered("platform") ?? "";
  try {
    await begin();
  } catch (error) {
    if (error.status !== 400) throw error;
    now.platform = "";
    await begin();
  }
}

async function start() {
  listen();
  showEverything();
  notice(say("loading"));
  try {
    await open();
    notice("");
  } catch (error) {
    await recover(error);
  }
  if (matchMedia("(min-width: 720px)").matches) $("input").focus();
  follow();
}

start();

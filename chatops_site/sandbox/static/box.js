// The message box: typing, recalling, sending, and what may be put into it by a click.

import { el } from "./markdown.js";
import { $, messages, notice, now, state } from "./here.js";
import { ask } from "./wire.js";
import { say } from "./words.js";

const SAY_PATIENCE = 65_000;
const TALLEST = 160;
let recalled = -1;

function setInput(text) {
  const input = $("input");
  input.value = text;
  input.setSelectionRange(text.length, text.length);
  fitInput();
}

export function fitInput() {
  const input = $("input");
  input.style.height = "auto";
  input.style.height = `${Math.min(input.scrollHeight, TALLEST) + 2}px`;
  $("send").disabled = !input.value.trim() || !now.conversation;
}

async function send() {
  const text = $("input").value.trim();
  if (!text || !now.conversation) return;
  setInput("");
  forgetRecalled();
  const body = { platform: now.platform, person: now.person.id, conversation: now.conversation.id, text };
  try {
    await ask("/chat/say", { body, patience: SAY_PATIENCE });
  } catch (error) {
    if (!$("input").value) setInput(text);
    const { status } = error;
    notice(status ? say("not_taken", { status }) : say("not_sent"), "failed", 10);
  }
}

export function forgetRecalled() {
  recalled = -1;
}

function recall(step) {
  const said = [...messages.values()].filter((each) => each.from === now.person?.id && !each.pressed);
  const texts = said
    .sort((one, other) => other.n - one.n)
    .map((each) => each.text)
    .filter((text, at, all) => text !== all[at - 1]);
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

export function showSuggestions() {
  const chips = state.suggestions.map((text) =>
    el("button", { type: "button", class: "chip", "data-testid": "suggestion", "data-into-input": text }, text),
  );
  $("suggestions").replaceChildren(...chips);
}

export function listenToBox(closePane) {
  $("form").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
    $("input").focus();
  });
  $("input").addEventListener("keydown", onKey);
  $("input").addEventListener("input", fitInput);
  document.addEventListener("click", (event) => {
    const code = event.target.closest("[data-into-input]");
    if (!code) return;
    setInput(code.dataset.intoInput);
    closePane();
    $("input").focus();
  });
}

// Draws one message of the log: who, what, and how far its delivery has come.

import { el, inline, markdown, stateOf } from "./markdown.js";
import { language, say } from "./words.js";

const STAGES = ["delivered", "acknowledged", "running", "done"];
const SHORT = 60;

export function avatar(person) {
  const name = person.id === "bot" ? "›_" : [...(person.name || person.id)][0].toUpperCase();
  const shade = [...person.id].reduce((sum, letter) => (31 * sum + letter.codePointAt(0)) % 997, 0) % 6;
  return el("span", { class: `avatar ${person.id === "bot" ? "bot" : `shade${shade}`}`, "aria-hidden": "true" }, name);
}

function time(at) {
  const moment = new Date(at * 1000);
  const two = (number) => String(number).padStart(2, "0");
  const text = `${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())}`;
  return el("time", { datetime: moment.toISOString(), title: moment.toLocaleString(language) }, text);
}

function stepWord(stage, state, milliseconds) {
  if (stage !== "acknowledged") return say(stage);
  if (state === "next" || milliseconds === undefined) return say("acknowledged_next");
  return say("acknowledged", { milliseconds: Math.round(milliseconds) });
}

// The stage reached is the last that happened, so that only "running" is still under way.
function steps(delivery) {
  const reached = STAGES.indexOf(delivery.stage);
  const shown = STAGES.filter((stage) => delivery.stage !== "done" || stage !== "running");
  return shown.map((stage) => {
    const at = STAGES.indexOf(stage);
    const state = at > reached ? "next" : stage === "running" ? "now" : "past";
    const word = stepWord(stage, state, delivery.milliseconds);
    return el("li", { class: state, "aria-current": at === reached ? "step" : null }, word);
  });
}

const ENDS = {
  sending: () => say("sending"),
  unreachable: () => say("unreachable"),
  rejected: (told) => say("rejected", { status: told.status, milliseconds: Math.round(told.milliseconds) }),
};

function delivery({ delivery: told }) {
  const attributes = { "data-testid": "delivery", "data-stage": told.stage };
  const end = ENDS[told.stage];
  const name = end && told.stage !== "sending" ? "delivery failed" : "delivery";
  if (end) return el("p", { ...attributes, class: name }, end(told));
  return el("ol", { ...attributes, class: name, "aria-label": say("delivery") }, ...steps(told));
}

function answered(message, original) {
  if (!original) return null;
  const short = original.text.length > SHORT ? `${original.text.slice(0, SHORT)}…` : original.text;
  return el("p", { class: "answered" }, say("in_reply", { name: original.name, text: short }));
}

function botBubble(message) {
  const body = el("div", { class: "bubble", "data-state": stateOf(message.markdown ?? message.text ?? ""), title: message.title });
  body.append(markdown(message.markdown ?? message.text ?? ""));
  return body;
}

const spoken = (message) => el("div", { class: "bubble", dir: "auto" }, message.text);

export function draw(message, { mine, original }) {
  const bot = message.from === "bot";
  const person = { id: message.from, name: message.name };
  const attributes = {
    class: `message ${bot ? "bot" : mine ? "mine" : "other"}`,
    "data-testid": "message",
    "data-n": message.n,
    "data-from": message.from,
  };
  const name = bot ? say("bot") : mine ? `${message.name} (${say("you")})` : message.name;
  return el(
    "article",
    attributes,
    avatar(person),
    el(
      "div",
      { class: "body" },
      el("p", { class: "by" }, el("span", { class: "name" }, name), time(message.at)),
      bot ? answered(message, original) : null,
      bot ? botBubble(message) : spoken(message),
      message.delivery ? delivery(message) : null,
    ),
  );
}

export function emptyLog() {
  return el(
    "div",
    { class: "empty", "data-testid": "empty" },
    el("p", { class: "title" }, say("empty_title")),
    el("p", {}, ...inline(say("empty_text"))),
  );
}

// Draws one message of the log: who, what, and how far its delivery has come.

import { buttons } from "./buttons.js";
import { el, inline, markdown, marked, stateOf } from "./markdown.js";
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

const isDialled = (delivery) => delivery.by === "dialled";

function stepWord(stage, state, delivery) {
  if (stage === "delivered" && isDialled(delivery)) return say("delivered_dialled");
  if (stage !== "acknowledged") return say(stage);
  if (state === "next" || delivery.milliseconds === undefined) return say("acknowledged_next");
  return say("acknowledged", { milliseconds: Math.round(delivery.milliseconds) });
}

// The stage reached is the last that happened, so that only "running" is still under way.
function steps(delivery, stages) {
  const reached = STAGES.indexOf(delivery.stage);
  const shown = stages.filter((stage) => delivery.stage !== "done" || stage !== "running");
  return shown.map((stage) => {
    const at = STAGES.indexOf(stage);
    const state = at > reached ? "next" : stage === "running" ? "now" : "past";
    const word = stepWord(stage, state, delivery);
    return el("li", { class: state, "aria-current": at === reached ? "step" : null }, word);
  });
}

const ENDS = {
  sending: () => say("sending"),
  unreachable: (told) => say(isDialled(told) ? "unreachable_dialled" : "unreachable"),
  rejected: (told) => {
    const values = { status: told.status, milliseconds: Math.round(told.milliseconds) };
    return say(isDialled(told) ? "rejected_dialled" : "rejected", values);
  },
};

function delivery({ delivery: told }, attributes, stages = STAGES) {
  const more = { ...attributes, "data-stage": told.stage, "data-by": told.by };
  const end = ENDS[told.stage];
  const name = end && told.stage !== "sending" ? "delivery failed" : "delivery";
  if (end) return el("p", { ...more, class: name }, end(told));
  return el("ol", { ...more, class: name, "aria-label": say("delivery") }, ...steps(told, stages));
}

const textOf = (message) => message.markdown ?? message.text ?? "";

function answered(original) {
  if (!original) return null;
  const text = original.text ?? textOf(original).split("\n", 1)[0];
  const short = text.length > SHORT ? `${text.slice(0, SHORT)}…` : text;
  return el("p", { class: "answered" }, say("in_reply", { name: original.name, text: short }));
}

function bubble(message) {
  if (message.from !== "bot") return el("div", { class: "bubble", dir: "auto" }, message.text);
  const attributes = { class: "bubble", "data-state": stateOf(textOf(message)), title: message.title };
  if (message.markdown === undefined) return el("div", { ...attributes, class: "bubble plain" }, ...marked(message.text));
  const body = el("div", attributes);
  body.append(markdown(message.markdown));
  return body;
}

// A card holds its buttons; a message has them beneath, if any.
function content(message) {
  const row = buttons(message);
  if (!row && !message.card) return bubble(message);
  return el("div", { class: "card", "data-testid": "card" }, bubble(message), row);
}

function updated(message) {
  if (!message.changes) return null;
  const title = say("updated_times", { count: message.changes });
  return el("span", { class: "updated", "data-testid": "updated", title }, say("updated"));
}

function mentioned(message, nameOf) {
  if (!message.mentions?.length) return null;
  return el("span", { class: "mentions" }, message.mentions.map((id) => `@${nameOf(id)}`).join(" "));
}

function only(message, original, nameOf) {
  if (!message.ephemeral) return null;
  const seenBy = message.seen_by ?? original?.from;
  const known = seenBy && seenBy !== "bot";
  const word = known ? say("only_for", { name: nameOf(seenBy) }) : say("only_one");
  return el("span", { class: "only", "data-testid": "only" }, word);
}

// The answer that the portal gave in the body of its 200 was none that the platform takes.
function refusedAnswer(message) {
  if (!message.passive_error) return null;
  return el("p", { class: "delivery failed", "data-testid": "passive-error" }, say("passive_error", { error: message.passive_error }));
}

// What was pressed is nothing that was said: a line of its own between the messages.
function drawDeed(message, who) {
  const attributes = { class: "message pressed", "data-testid": "press", "data-n": message.n, "data-from": message.from };
  const stages = STAGES.slice(0, Math.max(2, STAGES.indexOf(message.delivery.stage) + 1));
  const deed = message.pressed ? say("pressed", { name: who, label: message.text }) : say("entered", { name: who });
  return el(
    "article",
    attributes,
    el("p", {}, deed, " ", time(message.at)),
    delivery(message, { "data-testid": "press-delivery" }, stages),
    refusedAnswer(message),
  );
}

export function draw(message, { mine, quoted, original, nameOf }) {
  const bot = message.from === "bot";
  const person = { id: message.from, name: message.name };
  const name = bot ? say("bot") : mine ? `${message.name} (${say("you")})` : message.name;
  if (message.pressed || message.entered) return drawDeed(message, name);
  const attributes = {
    class: `message ${bot ? "bot" : mine ? "mine" : "other"}`,
    "data-testid": "message",
    "data-n": message.n,
    "data-from": message.from,
  };
  const marks = [mentioned(message, nameOf), updated(message), only(message, original, nameOf)];
  const by = [el("span", { class: "name" }, name), time(message.at), ...marks];
  return el(
    "article",
    attributes,
    avatar(person),
    el(
      "div",
      { class: "body" },
      el("p", { class: "by" }, ...by.filter(Boolean)),
      bot ? answered(quoted) : null,
      content(message),
      message.delivery ? delivery(message, { "data-testid": "delivery" }) : null,
      refusedAnswer(message),
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

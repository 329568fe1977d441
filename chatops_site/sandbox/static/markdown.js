// Draws the little Markdown that chat platforms know as DOM nodes; foreign text only ever becomes text.

import { say } from "./words.js";

const SHOWN_LINES = 20;
const LINE_LIMIT = 5000;
const MARKS = { "✅": "done", "⛔": "failed", "⏳": "running", "❓": "unknown" };
const SHAPES = {
  done: "M4.5 8.5 7 11l4.5-5.5",
  failed: "M5.5 5.5l5 5m0-5-5 5",
  running: "M8 4.5V8l2.5 2",
  unknown: "M6 6.4c0-2.6 4-2.6 4-.2C10 7.8 8 7.7 8 9.3M8 11.5v.1",
};
const ENTITIES = { lt: "<", gt: ">", amp: "&", quot: '"', "#39": "'", nbsp: "\u00a0" };
const INLINE = new RegExp(
  [
    "\\\\(?<escaped>[!-/:-@\\[-`{-~])",
    "(?<fence>`+)(?<code>[^\\n]+?)\\k<fence>(?!`)",
    "\\*\\*(?<bold>(?:\\\\.|[^\\\\\\n])+?)\\*\\*",
    "\\[(?<label>(?:\\\\.|[^\\]\\\\\\n])+)\\]\\((?<address>https?://[^\\s()]+(?:\\([^\\s()]*\\)[^\\s()]*)*)\\)",
    "&(?<entity>lt|gt|amp|quot|#39|nbsp);",
    "(?<mark>[✅⛔⏳❓])\\uFE0F?",
  ].join("|"),
  "gu",
);

export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function shape(state) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", SHAPES[state]);
  svg.append(path);
  return svg;
}

function mark(sign) {
  const state = MARKS[sign];
  return el("span", { class: `mark ${state}` }, el("span", { class: "sign" }, sign), shape(state));
}

export function command(text) {
  const label = say("into_input", { text });
  return el("button", { type: "button", class: "code", "data-into-input": text, title: label }, text);
}

export function link(address, ...children) {
  let url;
  try {
    url = new URL(address);
  } catch {
    return el("span", {}, ...children);
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") return el("span", {}, ...children);
  return el("a", { href: url.href, target: "_blank", rel: "noopener noreferrer" }, ...children);
}

const DRAW = {
  escaped: (found) => found.escaped,
  code: (found) => command(found.code.trim()),
  bold: (found) => el("strong", {}, ...inline(found.bold)),
  address: (found) => link(found.address, ...plain(found.label)),
  entity: (found) => ENTITIES[found.entity],
  mark: (found) => mark(found.mark),
};

export function inline(text, draw = DRAW) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    const kind = Object.keys(draw).find((name) => match.groups[name] !== undefined);
    nodes.push(text.slice(end, match.index), kind ? draw[kind](match.groups) : match[0]);
    end = match.index + match[0].length;
  }
  nodes.push(text.slice(end));
  return nodes.filter((node) => node !== "");
}

// Inside a link or a preview: no second link and no button.
export const plain = (text) => inline(text, { escaped: DRAW.escaped, entity: DRAW.entity, mark: DRAW.mark });

// Text that the platform shows as it is.
export const marked = (text) => inline(text, { mark: DRAW.mark });

const LINES = [
  [/^\s*#{1,6}\s+(.*)$/, "line heading"],
  [/^\s*>\s?(.*)$/, "line quote"],
  [/^\s*[-*·•]\s+(.*)$/, "line item"],
];

function line(text) {
  if (text.trim() === "") return el("div", { class: "gap" });
  for (const [pattern, name] of LINES) {
    const found = pattern.exec(text);
    if (found) return el("div", { class: name }, ...inline(found[1]));
  }
  return el("div", { class: "line" }, ...inline(text.trimEnd()));
}

function block(lines) {
  const pre = el("pre", { tabindex: "0" }, lines.slice(-SHOWN_LINES).join("\n"));
  if (lines.length <= SHOWN_LINES) return pre;
  const more = () => say("earlier_lines", { count: lines.length - SHOWN_LINES });
  const fold = el("button", { type: "button", class: "fold", "aria-expanded": "false" }, more());
  fold.addEventListener("click", () => {
    const open = fold.getAttribute("aria-expanded") === "false";
    fold.setAttribute("aria-expanded", String(open));
    fold.textContent = open ? say("fewer_lines") : more();
    pre.textContent = (open ? lines : lines.slice(-SHOWN_LINES)).join("\n");
  });
  return el("div", { class: "folded" }, fold, pre);
}

export function markdown(text) {
  const root = document.createDocumentFragment();
  const lines = text.replace(/\r\n?/g, "\n").split("\n").slice(0, LINE_LIMIT);
  let code = null;
  for (const each of lines) {
    const fence = /^\s*```/.test(each);
    if (fence && code) root.append(block(code));
    if (fence) code = code ? null : [];
    else if (code) code.push(each);
    else root.append(line(each));
  }
  if (code) root.append(block(code));
  return root;
}

export function stateOf(text = "") {
  const sign = /^[\s#*>]*([✅⛔⏳❓])/u.exec(text);
  return sign ? MARKS[sign[1]] : "";
}

// The platforms: their tabs, which way each one's messages go, and how its outgoing connection is.

import { command, el } from "./markdown.js";
import { $, notice, now, platformNow, state } from "./here.js";
import { ask } from "./wire.js";
import { knows, say } from "./words.js";

const MODE_PATIENCE = 30_000;
const seen = new Map();

export function labelOf(platform) {
  const key = `platform_${platform.name}`;
  return knows(key) ? say(key) : platform.label;
}

// What was said elsewhere before the page was opened is no news.
export function forgetNews() {
  seen.clear();
}

function hasNews(platform) {
  if (platform.name === now.platform || !seen.has(platform.name)) seen.set(platform.name, platform.last);
  return platform.last > seen.get(platform.name);
}

function tab(platform, choose) {
  const current = platform.name === now.platform;
  const news = hasNews(platform);
  const node = el(
    "button",
    {
      type: "button",
      class: "tab",
      "data-testid": "platform-tab",
      "data-platform": platform.name,
      "aria-current": current ? "true" : null,
    },
    el("span", { class: "name" }, labelOf(platform)),
    news ? el("span", { class: "news" }, el("span", { class: "unseen" }, say("news"))) : null,
  );
  node.addEventListener("click", () => choose(platform.name));
  return node;
}

let drawn = "";

export function showTabs(choose) {
  const nodes = state.platforms.map((platform) => tab(platform, choose));
  const text = nodes.map((node) => node.outerHTML).join("");
  if (text === drawn) return;
  drawn = text;
  const row = $("platforms");
  const held = row.contains(document.activeElement) ? document.activeElement.dataset.platform : "";
  row.replaceChildren(...nodes);
  if (held) row.querySelector(`[data-platform="${CSS.escape(held)}"]`)?.focus();
  row.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

// The way to the portal ------------------------------------------------------------------------------

const SHAPES = { connected: "●", connecting: "◌", awaited: "○", ended: "✕", http: "●" };

function connectionState(platform) {
  if (platform.mode === "dialled") return platform.connection;
  return platform.connected ? "http" : "";
}

function connectionWord(platform, how) {
  if (how === "connected" || how === "http") return say("connections", { count: platform.connected });
  return say(`connection_${how}`);
}

function showConnection(platform) {
  const how = connectionState(platform);
  const node = $("connection");
  node.hidden = !how;
  node.dataset.state = how;
  node.dataset.count = platform.connected;
  const word = how ? connectionWord(platform, how) : "";
  if (node.textContent === `${SHAPES[how]}${word}`) return;
  node.replaceChildren(el("span", { class: "shape", "aria-hidden": "true" }, SHAPES[how] ?? ""), word);
}

function reason(platform, how) {
  if (how === "awaited") return [say("to_connect"), command(`manage.py connect ${platform.bot}`)];
  if (how === "ended") return [say("ended", { name: platform.bot }), el("samp", {}, platform.line || "…")];
  return platform.line && how === "connecting" ? [el("samp", {}, platform.line)] : [];
}

let reasoned = "";

function showReason(platform) {
  const how = connectionState(platform);
  const parts = reason(platform, how);
  const box = $("reason");
  const text = JSON.stringify([how, ...parts.map((part) => part.textContent ?? part)]);
  box.hidden = parts.length === 0;
  if (text === reasoned) return;
  reasoned = text;
  box.className = `reason ${how}`;
  const again = el("button", { type: "button", class: "quiet", "data-testid": "connect-again" }, say("again"));
  again.addEventListener("click", () => chooseMode("dialled"));
  box.replaceChildren(el("p", {}, ...parts), ...(how === "ended" ? [again] : []));
}

export function showMode() {
  const platform = platformNow();
  $("mode-label").hidden = !platform || platform.modes.length < 2;
  $("one-mode").hidden = !platform || platform.modes.length > 1;
  if (!platform) return;
  $("one-mode").textContent = say(`mode_${platform.modes[0]}`);
  const options = platform.modes.map((mode) => el("option", { value: mode }, say(`mode_${mode}`)));
  $("mode").replaceChildren(...options);
  $("mode").value = platform.mode;
  showConnection(platform);
  showReason(platform);
}

// While a select is open its options must not be replaced, so only what is new is shown.
export function showModeChanged(before) {
  const platform = platformNow();
  if (!platform) return;
  const told = before.find((each) => each.name === platform.name);
  if (told?.mode !== platform.mode && !$("mode").disabled) $("mode").value = platform.mode;
  showConnection(platform);
  showReason(platform);
}

async function chooseMode(mode) {
  const { name } = platformNow();
  $("mode").disabled = true;
  notice(say(mode === "dialled" ? "mode_begins" : "mode_ends"));
  try {
    await ask("/chat/mode", { body: { platform: name, mode }, patience: MODE_PATIENCE });
    notice("");
  } catch {
    notice(say("mode_stays"), "failed", 10);
    $("mode").value = platformNow().mode;
  }
  $("mode").disabled = false;
}

export function listenToMode() {
  $("mode").addEventListener("change", () => chooseMode($("mode").value));
}

// The pane behind the curtain: what is live, Jenkins's queue and builds, the forge's pull requests.

import { el, inline, link } from "./markdown.js";
import { knows, language, say } from "./words.js";

const SHOWN_BUILDS = 6;
const STATE_OF_RESULT = { success: "done", failure: "failed", unstable: "failed", aborted: "failed", not_built: "failed" };
const SIGNS = { done: "✓", failed: "✕", running: "◌", waiting: "○" };
const drawn = new Map();

const sha7 = (sha) => String(sha || "").slice(0, 7);
const $ = (id) => document.getElementById(id);

function pill(state, word) {
  return el("span", { class: `pill ${state}` }, el("span", { "aria-hidden": "true" }, SIGNS[state]), word);
}

function fact(state, word, hint) {
  return el("span", { class: `fact ${state}`, title: hint }, el("span", { "aria-hidden": "true" }, SIGNS[state]), word);
}

function linked(url, ...children) {
  return url ? link(url, ...children) : el("span", {}, ...children);
}

// Live -----------------------------------------------------------------------------------------

function liveItem(entry) {
  return el(
    "li",
    { class: "row" },
    el("span", { class: "what" }, entry.service),
    el("span", { class: "where" }, entry.environment),
    el("code", {}, sha7(entry.sha)),
  );
}

// Pull requests --------------------------------------------------------------------------------

function checkState(check) {
  const state = String(check.state).toLowerCase();
  if (["success", "passed", "neutral", "skipped"].includes(state)) return "done";
  return ["failure", "failed", "error", "cancelled", "timed_out"].includes(state) ? "failed" : "running";
}

function pullState(pull) {
  if (pull.state === "merged") return ["done", say("merged")];
  if (pull.state !== "open") return ["waiting", say("closed")];
  if (pull.draft) return ["waiting", say("draft")];
  const green = (pull.checks || []).every((check) => checkState(check) === "done");
  const ready = green && pull.mergeable && pull.tested !== false && pull.approved >= pull.approvals_required;
  return ready ? ["done", say("ready")] : ["waiting", say("blocked")];
}

function checkFact(check) {
  const state = checkState(check);
  const words = { done: "check_passed", failed: "check_failed", running: "check_waiting" };
  const hint = say(words[state]);
  return el("span", {}, fact(state, check.name, hint), el("span", { class: "unseen" }, hint));
}

function pullFacts(pull) {
  if (pull.state !== "open") return null;
  const approved = pull.approved >= pull.approvals_required;
  const approvals = say("approvals", { have: pull.approved, need: pull.approvals_required });
  return el(
    "p",
    { class: "facts" },
    fact(approved ? "done" : "waiting", approvals),
    pull.tested === null ? null : fact(pull.tested ? "done" : "waiting", say(pull.tested ? "tested" : "untested")),
    ...(pull.checks || []).map(checkFact),
    pull.mergeable ? null : fact("failed", say("conflicts")),
  );
}

function pullItem(pull) {
  const [state, word] = pullState(pull);
  const name = `${pull.repository.split("/").pop()}#${pull.number}`;
  return el(
    "li",
    { class: "card", "data-testid": "pull", "data-key": name, "data-state": pull.state },
    el("p", { class: "title" }, linked(pull.url, name), pill(state, word)),
    el("p", { class: "text", dir: "auto" }, pull.title),
    el("p", { class: "second" }, `${pull.author} · `, el("code", {}, sha7(pull.head))),
    pullFacts(pull),
  );
}

// Jenkins --------------------------------------------------------------------------------------

const percent = (value) => Math.round(100 * Math.min(1, value > 1 ? value / 100 : value || 0));
const jobName = (path) => String(path || "").split("/").filter((part) => part !== "job").join("/");

function buildState(build) {
  if (build.building || !build.result) return ["running", say("build_running")];
  const result = String(build.result).toLowerCase();
  const key = `build_${result}`;
  return [STATE_OF_RESULT[result] || "failed", knows(key) ? say(key) : build.result];
}

function parameterText(parameters) {
  const shown = Object.entries(parameters || {}).filter(([name, value]) => name !== "CHATOPS_ID" && value !== "");
  return shown.map(([name, value]) => (name === "SHA" ? sha7(value) : `${name} ${value}`)).join(" · ");
}

function buildItem(build) {
  const [state, word] = buildState(build);
  const name = `${jobName(build.job)} #${build.number}`;
  const running = state === "running";
  const bar = el("progress", { max: "100", value: percent(build.progress) || null, "aria-label": say("progress", { name }) });
  const facts = [build.stage, parameterText(build.parameters)].filter(Boolean).join(" · ");
  return el(
    "li",
    { class: "card", "data-testid": "build", "data-key": name, "data-state": state },
    el("p", { class: "title" }, linked(build.url, name), pill(state, word)),
    running ? bar : null,
    facts ? el("p", { class: "second" }, facts) : null,
  );
}

function queueItem(entry) {
  const item = typeof entry === "string" ? { job: entry } : entry;
  const why = item.why || parameterText(item.parameters);
  return el(
    "li",
    { class: "card", "data-testid": "queued" },
    el("p", { class: "title" }, el("span", {}, jobName(item.job || item.task)), pill("waiting", say("queued"))),
    why ? el("p", { class: "second" }, why) : null,
  );
}

// Drawing: only what changed is replaced, so that focus and progress bars stay where they are. ----

function onlyProgressed(before, after) {
  return JSON.stringify({ ...before, progress: 0 }) === JSON.stringify({ ...after, progress: 0 });
}

function redraw(before, { entry, draw }) {
  const bar = before.node.querySelector("progress");
  if (bar && entry.progress && onlyProgressed(before.entry, entry)) {
    bar.value = percent(entry.progress);
    return before.node;
  }
  const focused = before.node.contains(document.activeElement);
  const node = draw(entry);
  node.classList.add("changed");
  if (before.node.isConnected) before.node.replaceWith(node);
  if (focused) node.querySelector("a")?.focus();
  return node;
}

function node(key, item, quiet) {
  const before = drawn.get(key);
  const text = JSON.stringify(item.entry) + language;
  if (before?.text === text) return before.node;
  const relabelled = before && before.language !== language;
  const made = before && !relabelled ? redraw(before, item) : item.draw(item.entry);
  if (!before && !quiet) made.classList.add("changed");
  drawn.set(key, { text, language, entry: item.entry, node: made });
  return made;
}

function list(id, items, emptyWord) {
  const root = $(id);
  const quiet = !root.hasChildNodes();
  const wanted = items.map((item) => node(`${id} ${item.key}`, item, quiet));
  if (wanted.length === 0) wanted.push(el("li", { class: "nothing" }, ...inline(say(emptyWord))));
  for (const old of [...root.children]) if (!wanted.includes(old)) old.remove();
  wanted.forEach((each, at) => root.children[at] !== each && root.insertBefore(each, root.children[at] || null));
}

function pullEntries(forge) {
  return (forge?.repositories || []).flatMap((repository) =>
    repository.pulls.map((pull) => ({ ...pull, repository: repository.path })),
  );
}

const newestFirst = (one, other) =>
  Number(Boolean(other.building)) - Number(Boolean(one.building)) || (other.at || 0) - (one.at || 0);

function showRunning(count) {
  $("running").hidden = count === 0;
  $("running").textContent = count;
  if (count) $("show-pane").setAttribute("aria-label", say("state_running", { count }));
  else $("show-pane").removeAttribute("aria-label");
}

function showForge(forge, forges) {
  $("forge-label").hidden = !forges?.length;
  const options = (forges || []).map((each) => el("option", { value: each.name }, each.label));
  if ($("forge").options.length !== options.length) $("forge").replaceChildren(...options);
  if (!$("forge").disabled && forge) $("forge").value = forge.name;
}

export function showPane({ forge, forges, jenkins, live }) {
  if (!forge && !jenkins) return;
  showForge(forge, forges);
  const builds = [...(jenkins?.builds || [])].sort(newestFirst).slice(0, SHOWN_BUILDS);
  const queue = jenkins?.queue || [];
  const pulls = pullEntries(forge);
  list(
    "live",
    (live || []).map((entry) => ({ key: `${entry.service} ${entry.environment}`, entry, draw: liveItem })),
    "live_empty",
  );
  list(
    "builds",
    [
      ...queue.map((entry, at) => ({ key: `queue ${entry.id ?? at}`, entry, draw: queueItem })),
      ...builds.map((entry) => ({ key: `${entry.job} ${entry.number}`, entry, draw: buildItem })),
    ],
    "builds_empty",
  );
  list("pulls", pulls.map((entry) => ({ key: `${entry.repository} ${entry.number}`, entry, draw: pullItem })), "pulls_empty");
  showRunning(builds.filter((build) => build.building).length + queue.length);
}

// On narrow screens the pane is a sheet behind a button. ------------------------------------------

function togglePane(open) {
  $("pane").classList.toggle("open", open);
  $("show-pane").setAttribute("aria-expanded", String(open));
  (open ? $("hide-pane") : $("show-pane")).focus();
}

// Without moving the focus: it goes to what the pane was closed for.
export function closePane() {
  $("pane").classList.remove("open");
  $("show-pane").setAttribute("aria-expanded", "false");
}

export function preparePane(moveTo) {
  $("forge").addEventListener("change", async () => {
    $("forge").disabled = true;
    await moveTo($("forge").value);
    $("forge").disabled = false;
  });
  $("show-pane").addEventListener("click", () => togglePane(!$("pane").classList.contains("open")));
  $("hide-pane").addEventListener("click", () => togglePane(false));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && $("pane").classList.contains("open")) togglePane(false);
  });
}

// What the page knows: who speaks where on which platform, and what was said there.

import { say } from "./words.js";

export const $ = (id) => document.getElementById(id);

export const state = {
  people: [],
  conversations: [],
  platforms: [],
  suggestions: [],
  forges: [],
  seq: 0,
  forge: null,
  jenkins: null,
  live: [],
};
export const messages = new Map();

// person and conversation are entries of the state, platform is a name.
export const now = { person: null, conversation: null, platform: "" };

export function remembered(name) {
  return new URLSearchParams(location.search).get(name) || localStorage.getItem(`sandbox.${name}`);
}

export function remember(name, value) {
  localStorage.setItem(`sandbox.${name}`, value);
}

const byNumber = (one, other) => one.n - other.n;

export const spokenIn = (where) => !where.members || where.members.includes(now.person?.id);
export const inside = (where) =>
  [...messages.values()].filter((message) => message.conversation === where?.id).sort(byNumber);
export const last = (where) => inside(where).at(-1);
export const titleOf = (where) => (where.private ? say("private") : where.name);
export const nameOf = (id) => state.people.find((each) => each.id === id)?.name ?? id;
export const platformNow = () => state.platforms.find((each) => each.name === now.platform) ?? null;

let noticeTimer = 0;

// text: a string, or a list of nodes.
export function notice(text, kind = "", seconds = 0) {
  clearTimeout(noticeTimer);
  $("notice").replaceChildren(...[text].flat());
  $("notice").className = `notice ${kind}`;
  $("notice").hidden = !text;
  if (seconds) noticeTimer = setTimeout(() => notice(""), seconds * 1000);
}

// The line to the sandbox: one question, one answer in JSON, within a time limit.

const PATIENCE = 35_000;

// Rejects with an Error that has a status only when there was an answer.
export async function ask(path, { body, patience = PATIENCE } = {}) {
  const options = { signal: AbortSignal.timeout(patience), cache: "no-store" };
  if (body) Object.assign(options, { method: "POST", body: JSON.stringify(body) });
  if (body) options.headers = { "Content-Type": "application/json" };
  const answer = await fetch(path, options);
  if (!answer.ok) throw Object.assign(new Error(path), { status: answer.status });
  return answer.json();
}

// Ends early when the network comes back.
export function pause(seconds) {
  return new Promise((resume) => {
    setTimeout(resume, seconds * 1000);
    addEventListener("online", resume, { once: true });
  });
}

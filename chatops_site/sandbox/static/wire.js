// The line to the sandbox: one question, one answer in JSON, within a time limit.

const PATIENCE = 35_000;

// There is a status only when there was an answer.
export class Unanswered extends Error {
  constructor(path, { status, cause } = {}) {
    super(path, { cause });
    this.status = status;
  }

  get isGivenUp() {
    return this.cause?.name === "AbortError";
  }
}

// Rejects with Unanswered. leaving: a signal to give up.
export async function ask(path, { body, patience = PATIENCE, leaving } = {}) {
  const signals = [AbortSignal.timeout(patience), leaving].filter(Boolean);
  const options = { signal: AbortSignal.any(signals), cache: "no-store" };
  if (body) Object.assign(options, { method: "POST", body: JSON.stringify(body) });
  if (body) options.headers = { "Content-Type": "application/json" };
  try {
    const answer = await fetch(path, options);
    if (answer.ok) return await answer.json();
    throw new Unanswered(path, { status: answer.status });
  } catch (error) {
    throw error instanceof Unanswered ? error : new Unanswered(path, { cause: error });
  }
}

// Ends early when the network comes back.
export function pause(seconds) {
  return new Promise((resume) => {
    setTimeout(resume, seconds * 1000);
    addEventListener("online", resume, { once: true });
  });
}

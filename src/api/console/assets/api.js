// Calls of this node's JSON gateway, on this origin. The key stays in this tab: sessionStorage, and the header of each call.

const PLACE = "quorate-key";

export const keyring = {
  get: () => sessionStorage.getItem(PLACE),
  set: (key) => sessionStorage.setItem(PLACE, key),
  forget: () => sessionStorage.removeItem(PLACE),
};

/** Why a call gave no answer. */
export class CallError extends Error {
  /** `http` is 0 when nobody answered. */
  constructor(http, message, reason = "") {
    super(message);
    this.http = http;
    this.reason = reason;
  }

  /** Whether it is the key that is not good for the call. */
  get isAboutKey() {
    return this.http === 401 || this.http === 403;
  }
}

function failure(http, error) {
  const info = (error?.details ?? []).find((detail) => detail.reason);
  return new CallError(http, error?.message || `the node answered with ${http}`, info?.reason ?? "");
}

async function send(path, body, { signal, key = keyring.get() } = {}) {
  try {
    return await fetch(path, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      mode: "same-origin",
      redirect: "error",
      referrerPolicy: "no-referrer",
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (error.name === "TimeoutError") throw new CallError(0, "this node did not answer in time");
    throw new CallError(0, "this node cannot be reached");
  }
}

/** One answer to one request. */
export async function call(path, body = {}, options = {}) {
  const response = await send(path, body, options);
  const text = await response.text().catch(() => {
    throw new CallError(0, "the answer broke off");
  });
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new CallError(response.status, `the node answered with ${response.status} and no JSON`);
  }
  if (!response.ok) throw failure(response.status, answer);
  return answer;
}

/** The answers of a stream, as they come. It ends with the stream, or throws what ended it. */
export async function* stream(path, body, options) {
  const response = await send(path, body, options);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      let piece;
      try {
        piece = await reader.read();
      } catch (error) {
        if (error.name === "AbortError") throw error;
        throw new CallError(0, "the stream broke off");
      }
      if (piece.done) break;
      const lines = (rest + piece.value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (!line.trim()) continue;
        const message = JSON.parse(line);
        if (!message.result) throw failure(response.status, message.error ?? message);
        yield message.result;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
  if (!response.ok) throw failure(response.status, rest ? JSON.parse(rest).error ?? JSON.parse(rest) : undefined);
}

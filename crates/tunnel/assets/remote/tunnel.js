/**
 * The tunnel of doorward, wire version 1, for browsers.
 *
 * Every body, both ways, is `base64(nonce[12] ‖ AES-256-GCM ciphertext ‖ tag[16])` of a JSON object. Whoever carries it
 * can hold it up or drop it, and cannot read, change or make one. This module keeps nothing and shows nothing:
 *
 *     const tunnel = new Tunnel("", await importKey(digits));
 *     for (const door of await tunnel.doors()) console.log(door.name, door.state);
 *     const { state } = await tunnel.act("front_door", "unlock");
 */

const NONCE = 12;
const TAG = 16;
/** Seconds that an answer may be old: as long as the house takes requests. */
const MAX_AGE = 60;
/** Seconds that answers may overtake each other. An older one was kept back by somebody. */
const OVERTAKE = 10;
/** Milliseconds without a sign of life after which a stream counts as lost; the house sends one every 15 s. */
const SILENCE = 40_000;
/** Characters of one event of a stream. */
const LONGEST = 1 << 20;

/** Errors that a stream tells in words alone. */
const KINDS = { "Replayed request": "repeated", "Request expired": "clock" };

const text = new TextEncoder();

/**
 * Why something was not answered. `kind` is for programs:
 *
 * - `unreachable`: nobody answered, or a proxy said that nobody does;
 * - `foreign`: something answered that is not the house (a sign-in page, a bent or an old message);
 * - `unknown-key`: no key of the house opens what this one sealed, or it does not want to say;
 * - `clock`: the clocks differ too much; `ahead` is by how many seconds the house is ahead;
 * - `busy`: too many requests; wait `wait` seconds;
 * - `repeated`: the house has seen this very message before;
 * - `refused`: the house says no, and why.
 *
 * `certain` is true where the house said so under the seal: then nothing was done. Where it is false, a command may have
 * arrived all the same.
 */
export class TunnelError extends Error {
  constructor(kind, message, more = {}) {
    super(message);
    this.kind = kind;
    this.certain = false;
    Object.assign(this, more);
  }
}

/**
 * A key of 64 hexadecimal digits, as one that this browser can use and no script can read out again.
 *
 * @param {string} digits
 * @returns {Promise<CryptoKey>}
 */
export const importKey = async (digits) => {
  if (!/^[0-9a-f]{64}$/i.test(digits)) throw new TypeError("a key is 64 hexadecimal digits");
  const raw = Uint8Array.from(digits.match(/../g), (pair) => parseInt(pair, 16));
  const key = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]);
  raw.fill(0);
  return key;
};

/** A house, as seen with one key. */
export class Tunnel {
  #base;
  #key;
  /** The latest time, in seconds, that the house is known to have had. */
  #latest = 0;
  /** By how many seconds the clock of the house is ahead of this one, once it is known. */
  ahead;

  /**
   * @param {string} base where the tunnel is: an origin, or "" for the one that this page came from
   * @param {CryptoKey} key from {@link importKey}
   */
  constructor(base, key) {
    this.#base = base;
    this.#key = key;
  }

  /**
   * Asks a service once. Nothing is ever sent again by itself: a request that was not answered may have been heard.
   *
   * @param {object} fields `service` and what it wants to know
   * @param {number} within milliseconds to wait
   * @returns {Promise<{status: number, body: any, timestamp: number}>}
   * @throws {TunnelError}
   */
  async call(fields, within = 10_000) {
    const signal = AbortSignal.timeout(within);
    const answer = await this.#post("/gateway", fields, signal);
    const sealed = await answer.text().catch(lost);
    const plain = await this.#open(sealed);
    const { status, body, timestamp } = plain;
    // What was sealed with this key may also be our own request, or an event of a stream, sent back by somebody.
    if (typeof status !== "number" || typeof timestamp !== "number" || body === undefined) throw foreign("This is not an answer");
    if (timestamp < this.#latest - OVERTAKE) throw foreign("This answer is an old one");
    this.#latest = Math.max(this.#latest, timestamp);
    const ahead = timestamp + 0.5 - Date.now() / 1000;
    if (status === 403 && wrong(body) === "Request expired") {
      throw new TunnelError("clock", wrong(body), { ahead, certain: true });
    }
    if (Math.abs(ahead) > MAX_AGE) throw new TunnelError("clock", "The clocks differ", { ahead });
    this.ahead = ahead;
    return plain;
  }

  /**
   * The doors that this key may see.
   *
   * @returns {Promise<object[]>}
   * @throws {TunnelError}
   */
  async doors() {
    const { status, body } = await this.call({ service: "doors", action: "list" });
    if (status !== 200 || !Array.isArray(body?.doors)) throw refusal(status, body);
    return body.doors;
  }

  /**
   * Asks a door to do something, once, and waits up to 12 s for what comes of it. `confirmed` alone means that somebody
   * saw the door do it; `pending` can be followed with {@link outcome}.
   *
   * @param {string} door
   * @param {"open" | "lock" | "unlock"} action
   * @returns {Promise<{id: string, door: string, action: string, state: string, reason: ?string, detail: ?string}>}
   * @throws {TunnelError}
   */
  async act(door, action) {
    return this.#attempt({ id: crypto.randomUUID(), door, action });
  }

  /**
   * What became of an attempt that the house said to be pending. This cannot do anything twice: the house has written
   * the attempt down under its id, and answers the same id with the same attempt.
   *
   * @param {{id: string, door: string, action: string, state: string}} attempt
   * @throws {TunnelError}
   */
  async outcome(attempt) {
    return attempt.state === "pending" ? this.#attempt(attempt) : attempt;
  }

  /**
   * Listens to a topic until the house or the network ends it.
   *
   * @param {string} topic with wildcards
   * @param {(event: {type: string, topic: string, payload?: any}) => void} onEvent `connected` first, then `message`
   * @param {AbortSignal} signal ends it from here
   * @throws {TunnelError} `refused` when the key may not listen, or not any more
   */
  async listen(topic, onEvent, signal) {
    const answer = await this.#post("/mqtt/subscribe", { topic }, signal);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    let silence;
    try {
      for (;;) {
        silence = setTimeout(() => reader.cancel().catch(() => {}), SILENCE);
        const { value, done } = await reader.read().catch(lost);
        clearTimeout(silence);
        if (done) return;
        const events = (rest + value).split("\n\n");
        rest = events.pop();
        if (rest.length > LONGEST) throw foreign("An event without an end");
        for (const line of events) {
          if (!line.startsWith("data: ")) continue;
          const event = await this.#open(line.slice(6));
          if (event.type === "disconnected") return;
          if (event.type === "error") throw new TunnelError(KINDS[event.message] ?? "refused", event.message, { certain: true });
          onEvent(event);
        }
      }
    } finally {
      clearTimeout(silence);
      reader.cancel().catch(() => {});
    }
  }

  async #attempt({ id, door, action }) {
    const { status, body } = await this.call({ service: "doors", action, door, id }, 20_000);
    if (typeof body?.state !== "string") throw refusal(status, body);
    // Answers do not name their request in version 1; the id does it for commands.
    if (body.id !== id || body.door !== door || body.action !== action) throw foreign("This answers another command");
    return body;
  }

  async #post(route, fields, signal) {
    const body = await this.#seal({ ...fields, timestamp: Date.now() / 1000 });
    const headers = { "content-type": "application/octet-stream" };
    const how = { method: "POST", headers, body, signal, cache: "no-store", redirect: "manual", referrerPolicy: "no-referrer" };
    const answer = await fetch(this.#base + route, how).catch(lost);
    if (answer.ok) return answer;
    const { status } = answer;
    if (status === 429) throw new TunnelError("busy", "Too many requests", { wait: Number(answer.headers.get("retry-after")) || 60 });
    if (status === 400 && route === "/mqtt/subscribe") throw stranger();
    if (status >= 502 && status <= 504) throw new TunnelError("unreachable", `HTTP ${status}`);
    throw foreign(answer.type === "opaqueredirect" ? "A redirect" : `HTTP ${status}`);
  }

  async #seal(message) {
    const iv = crypto.getRandomValues(new Uint8Array(NONCE));
    const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, this.#key, text.encode(JSON.stringify(message)));
    return btoa(String.fromCharCode(...iv, ...new Uint8Array(sealed)));
  }

  async #open(body) {
    let sealed;
    try {
      sealed = Uint8Array.from(atob(body), (letter) => letter.charCodeAt(0));
    } catch {
      throw foreign("This is not a sealed message");
    }
    if (sealed.length < NONCE + TAG) throw foreign("This is not a sealed message");
    let plain;
    try {
      plain = await crypto.subtle.decrypt({ name: "AES-GCM", iv: sealed.subarray(0, NONCE) }, this.#key, sealed.subarray(NONCE));
    } catch {
      // To keys that it does not know the house answers with noise, so that they learn nothing.
      throw stranger();
    }
    return JSON.parse(new TextDecoder().decode(plain));
  }
}

const foreign = (message) => new TunnelError("foreign", message);
const stranger = () => new TunnelError("unknown-key", "This key opens nothing there");
const lost = (error) => { throw new TunnelError("unreachable", error.message); };

/** The words of an error; version 1 writes them as JSON inside of a text. */
const wrong = (body) => {
  try {
    return String((typeof body === "string" ? JSON.parse(body) : body).error);
  } catch {
    return String(body);
  }
};

const refusal = (status, body) => {
  const kind = status === 429 ? "busy" : status === 409 ? "repeated" : "refused";
  return new TunnelError(kind, wrong(body), { certain: status !== 409, wait: 60 });
};

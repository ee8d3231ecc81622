// The page /remote: lists doors and opens them through the tunnel. The key never leaves this browser, and no
// script can read it out once it is imported, this one included.

// Before anything else: the key of a pairing link leaves the address bar.
const takeLink = () => {
  const { hash } = location;
  if (hash) history.replaceState(null, "", location.pathname);
  return hash.includes("k=") ? hash : "";
};
let given = takeLink();
const { Tunnel, TunnelError, importKey } = await import("/remote/tunnel.js");

/** Every text. What is put together is a function. A translation is another object. */
const TEXT = {
  doors: "Doors",
  live: "Live",
  polling: "Asks every 5 s",
  noLine: "No connection",
  loading: "Asking the house…",
  cancel: "Cancel",
  again: "Try again",
  actions: { unlock: ["Unlock", "Unlocking…"], lock: ["Lock", "Locking…"], open: ["Open", "Opening…"] },
  really: (action, door) => `Really ${action} ${door}?`,
  at: (action, door) => `${action} ${door}`,
  states: {
    locked: ["Locked", "lock", "ok"],
    locking: ["Locking…", "spin", "busy"],
    unlocked: ["Unlocked", "unlock", "warn"],
    unlocking: ["Unlocking…", "spin", "busy"],
    opening: ["Opening…", "spin", "busy"],
    open: ["Open", "door-open", "warn"],
    jammed: ["Jammed", "alert", "bad"],
    blind: ["No sensor", "gate", "calm"],
    unknown: ["Unknown", "question", "calm"],
  },
  since: (time) => `Since ${time}`,
  asOf: (time) => `As it was at ${time}`,
  away: "Cannot be reached just now.",
  blind: "It opens for a moment and cannot tell its position.",
  unseen: "Nobody has seen its state lately.",
  offline: "Offline",
  battery: (level) => `Battery ${level} %`,
  contactOpen: "Contact open",
  sent: "Sent. Waiting to see what the door does…",
  still: "Nobody has seen it yet. Still waiting…",
  whatToDo: "What to do:",
  outcomes: {
    pending: ["Waiting", "clock", "busy", "The house is still waiting to see what the door does.", "Look at the door before you rely on it."],
    confirmed: ["Confirmed", "check", "ok", "The house saw the door do it."],
    unconfirmed: ["Unconfirmed", "question", "warn", "Sent, but nobody saw what the door did.", "Look at the door before you rely on it."],
    contradicted: ["Contradicted", "alert", "bad", "The door was seen to be otherwise.", "Look at the door before you try again."],
    refused: ["Refused", "x", "bad", "Nothing was done."],
    failed: ["Failed", "x", "bad", "It could not be done."],
    lost: ["No answer", "question", "warn", "Nobody knows whether the door has heard it. It may still do it within ten seconds.", "Look at the door before you try again."],
    undone: ["Not sent", "x", "bad", "This device is offline."],
  },
  jammed: "See whether it is quite shut and the bolt is free, then try again.",
  said: (door, action, verdict, why) => `${door}: ${action}. ${verdict}. ${why}`,
  is: (door, state) => `${door}: ${state}`,

  pairTitle: "Pair this device",
  pairText: "Scan the QR code that doorward shows at home, or paste its link or the 64 digits of the key here.",
  pairField: "Pairing link or key",
  pair: "Pair",
  pairWrong: "That is neither a pairing link nor a key of 64 digits (0–9, a–f).",
  pairElsewhere: (host) => `That link is for ${host}. Open it there.`,
  paired: "This device is paired.",
  linked: ["Delete the link from the history", "This page has taken the key out of the address bar. Browsers keep what was opened all the same: delete the newest entry of this site in the browser’s history, and the picture of the code if you have one."],
  linkedDone: "Done",
  homeScreen: "On an iPhone or iPad: add this page to the Home Screen first, then paste the link there. Safari and the Home Screen keep their keys apart, and Safari forgets after a week without use.",
  replaceTitle: "Replace the key that is here?",
  replaceText: (old, name) => `This device already has the key ${old}. With ${name} in its place the old one cannot be used here any more.`,
  replace: "Replace it",
  keep: "Keep the old one",
  unnamed: "without a name",
  unkept: ["This browser does not keep the key", "Private windows and lockdown mode do not store keys. It works until you close this page."],
  insecure: ["This page needs https://", "Browsers seal messages only on pages that came over an encrypted connection. Open the address with https://."],

  device: "This device",
  key: "Key",
  since_: "Here since",
  version: "Pinned version",
  unpinned: "Not pinned",
  install: "Install as an app",
  forget: "Forget this key",
  forgetText: "Forget the key? This device can then open nothing until it is paired again. At home the key stays valid until it is revoked there.",
  forgetYes: "Forget it",
  forgotten: "The key was forgotten.",

  along: "Who could read along",
  points: [
    ["lock", "ok", "What this page and your house say to each other is sealed with your key. Whoever carries it sees when, and how much. They can hold it up or drop it, but not read it, change it or give a command of their own."],
    ["alert", "warn", "The page itself came the same way. A proxy that ends TLS in between could have sent another page when this device loaded it for the first time, and taken the key. Where TLS ends in your house, nobody in between can."],
    ["shield", "ok", "From then on this device runs only the version that it has pinned. Another one has to ask you."],
    ["info", "calm", "No web page can promise more: browsers fetch the script that does the pinning anew, at least once a day, and obey the new one. A proxy that forges that script gets around the question. It could use your key, though not copy it, until you have the key revoked at home."],
  ],

  nets: {
    offline: ["This device is offline", "Doors are shown as they were. Nothing is sent until the connection is back."],
    unreachable: ["The house cannot be reached", "The way to it, or doorward itself, is down. This page keeps trying."],
    foreign: ["Something else answers", "The answer did not come from your house: perhaps the sign-in page of this Wi-Fi, or a proxy in between. Try another network."],
    busy: ["Too many tries", "The house wants a pause of a minute. This page goes on by itself."],
    repeated: ["The house has just started", "It takes messages again in a few seconds."],
  },
  clock: "Set the clock of this device",
  clockText: (gap, behind) => `It is ${gap} ${behind ? "behind" : "ahead of"} the clock of the house. Doors open only while the two differ by less than ten seconds. Turn on automatic date and time.`,
  gap: (seconds) => (seconds < 120 ? `${Math.round(seconds)} s` : seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`),
  strange: ["This key is not known there", "It may have been revoked or replaced by a new one, or this address belongs to another house. Ask whoever gave you the key for a new pairing link."],
  otherKey: "Enter another key",
  barred: ["This key may not use doors", "Ask whoever gave you the key to allow it at home."],
  none: ["No doors for this key", "It is known, but there is no door that it may see. Ask whoever gave you the key."],

  update: "There is a new version of this page",
  updateText: "It runs only when you say so. Compare its fingerprint with the one that doorward shows at home.",
  now: "Running",
  next: "New",
  updateYes: "Use it",
  updateNo: "Not now",
  updateBad: ["A new version was not taken", "Its files do not fit their fingerprints. This device stays with the version that it has."],
  noPin: ["This version is not pinned", "This browser could not keep it, so each visit runs whatever is sent then."],
  usurped: ["The pinned version was pushed aside", "A script that you did not accept has taken over this page. Open nothing here, and have this key revoked at home."],
};

const TOPIC = "doorward/door/+/state";
const BATTERY_LOW = 20;
/** Milliseconds: between two lists without and with a live stream; for a yes; before which a second tap is no yes. */
const POLL = 5000;
const POLL_LIVE = 60_000;
const YES = 5000;
const DOUBLE_TAP = 400;
/** How often an attempt that is pending is followed, 12 s each time. */
const FOLLOW = 4;
/** Seconds that the clocks may differ before a door does not open; a little less, since messages travel. */
const CLOCK = 8;

const state = {
  // What was paired, the house behind it, and what was last heard of it.
  key: undefined, kept: true, tunnel: undefined, doors: undefined, at: undefined, trouble: undefined, fails: 0, live: false,
  // By door: what is asked, what is being done, what came of it.
  ask: new Map(), running: new Map(), outcomes: new Map(),
  // A key that waits for a yes; what is wrong with what was pasted; which form or question is open.
  offer: undefined, wrong: undefined, typing: false, forgetting: false,
  pin: undefined, update: undefined, warning: undefined, prompt: undefined,
};

// Building the page. Nothing is ever parsed as HTML: names of doors and words of the house stay text.
const $ = (id) => document.getElementById(id);
const h = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick" || key === "onsubmit") element[key] = value;
    else if (value !== undefined && value !== false) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter(Boolean));
  return element;
};
const icon = (name) => {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("aria-hidden", "true");
  if (name === "spin") svg.classList.add("spin");
  use.setAttribute("href", `#${name}`);
  svg.append(use);
  return svg;
};
const button = (key, label, onclick, more = {}, mark) =>
  h("button", { type: "button", class: "button", "data-key": key, onclick, ...more }, mark && icon(mark), h("span", {}, label));
const badge = ([word, mark, tone]) => h("span", { class: `badge ${tone}` }, icon(mark), word);

/** Builds a place anew only when what it shows has changed; who is about to press a button presses that very one. */
const shown = new WeakMap();
const put = (place, what, build) => {
  const now = JSON.stringify(what);
  if (shown.get(place) === now) return;
  shown.set(place, now);
  const key = place.contains(document.activeElement) && document.activeElement.dataset.key;
  place.replaceChildren(...[build()].flat().filter(Boolean));
  if (key) (place.querySelector(`[data-key="${key}"]`) ?? place.querySelector("[data-focus], button"))?.focus();
};
const say = (words) => {
  $("say").textContent = "";
  setTimeout(() => { $("say").textContent = words; }, 60);
};
const clock = (time) => {
  const date = new Date(time);
  const today = date.toDateString() === new Date().toDateString();
  return date.toLocaleString(undefined, today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
};
const fingerprint = (build) => h("code", {}, build.slice(0, 32).match(/.{16}/g).flatMap((half) => [h("span", {}, half.match(/.{4}/g).join(" ")), " "]));

// The key lives in IndexedDB, as a thing that can be used and not read.
const kept = (mode, work) => new Promise((done, fail) => {
  const open = indexedDB.open("doorward-remote", 1);
  open.onupgradeneeded = () => open.result.createObjectStore("keys");
  open.onerror = () => fail(open.error);
  open.onsuccess = () => {
    const change = open.result.transaction("keys", mode);
    const asked = work(change.objectStore("keys"));
    change.oncomplete = () => { open.result.close(); done(asked.result); };
    change.onabort = () => { open.result.close(); fail(change.error); };
  };
});
const load = () => kept("readonly", (keys) => keys.get("key"));
const save = (record) => kept("readwrite", (keys) => keys.put(record, "key"));
const forget = () => kept("readwrite", (keys) => keys.delete("key"));

// Pairing.
const readKey = (words) => {
  const [place, fields] = words.trim().split("#");
  const link = new URLSearchParams(fields ?? "");
  const digits = (link.get("k") ?? words).replace(/\s/g, "").toLowerCase();
  const [, origin] = /^(\w+:\/\/[^/]+)/.exec(place) ?? [];
  if (fields && origin && origin !== location.origin) throw new Error(TEXT.pairElsewhere(origin));
  if (!/^[0-9a-f]{64}$/.test(digits)) throw new Error(TEXT.pairWrong);
  return { digits, name: (link.get("n") ?? "").slice(0, 64), linked: !place };
};
const take = async (words) => {
  try {
    const offer = readKey(words);
    state.wrong = undefined;
    if (!state.key) return await pair(offer);
    Object.assign(state, { offer, typing: false });
  } catch (error) {
    state.wrong = error.message;
    state.typing = true;
  }
  draw();
};
const pair = async ({ digits, name, linked }) => {
  const record = { key: await importKey(digits), name, linked, added: Date.now() };
  state.kept = await save(record).then(() => true, () => false);
  navigator.storage?.persist?.();
  use(record);
  say(TEXT.paired);
};
const use = (record) => {
  stop();
  for (const map of [state.ask, state.running, state.outcomes]) map.clear();
  Object.assign(state, { key: record, offer: undefined, wrong: undefined, typing: false, forgetting: false, doors: undefined, trouble: undefined });
  state.tunnel = record && new Tunnel("", record.key);
  start();
  draw();
};
const unlink = () => {
  state.key.linked = false;
  save(state.key).catch(() => {});
  draw();
};
const drop = async () => {
  await forget().catch(() => {});
  use(undefined);
  say(TEXT.forgotten);
};

// Looking: a stream tells that something has changed, a list tells what is so.
let timer, looking, again, ear;
const pause = () => {
  const { trouble, live, fails } = state;
  if (trouble?.kind === "unknown-key") return undefined;
  if (trouble?.kind === "busy") return (trouble.wait ?? 60) * 1000;
  if (trouble) return Math.min(POLL * 2 ** Math.max(0, fails - 3), 30_000);
  return live ? POLL_LIVE : POLL;
};
const look = async () => {
  clearTimeout(timer);
  const { tunnel } = state;
  if (!tunnel || document.hidden) return;
  // What changes while a list is on its way may not be in it.
  again = looking === tunnel;
  if (again) return;
  looking = tunnel;
  let doors, trouble;
  try {
    doors = await tunnel.doors();
  } catch (error) {
    trouble = error instanceof TunnelError ? error : new TunnelError("foreign", error.message);
  }
  looking = undefined;
  if (tunnel !== state.tunnel) return;
  if (doors) {
    for (const door of doors) {
      const before = state.doors?.find(({ id }) => id === door.id);
      const end = state.outcomes.get(door.id);
      // Right after a command its outcome says as much; later it is no longer what the state comes from.
      if (!before || before.state === door.state || state.running.has(door.id) || Date.now() - end?.at < POLL) continue;
      if (end?.state === "confirmed") state.outcomes.delete(door.id);
      say(TEXT.is(door.name, face(door)[0]));
    }
    Object.assign(state, { doors, at: Date.now() });
  }
  state.trouble = trouble;
  state.fails = trouble ? state.fails + 1 : 0;
  draw();
  const wait = again ? 150 : pause();
  if (wait) timer = setTimeout(look, wait);
};
const soon = () => {
  clearTimeout(timer);
  timer = setTimeout(look, 150);
};
const listen = async () => {
  const own = new AbortController();
  const { tunnel } = state;
  ear = own;
  let wait = 1000;
  while (!own.signal.aborted) {
    try {
      await tunnel.listen(TOPIC, () => { state.live = true; wait = 1000; soon(); }, own.signal);
    } catch (error) {
      // Not allowed to listen, or not any more: the list tells which, and is asked for every few seconds.
      if (error.kind === "refused" || error.kind === "unknown-key") wait = Infinity;
      if (error.kind === "busy") wait = 60_000;
    }
    if (own.signal.aborted) return;
    if (state.live) soon();
    state.live = false;
    draw();
    if (wait === Infinity) return;
    await new Promise((done) => setTimeout(done, wait));
    wait = Math.min(wait * 2, 60_000);
  }
};
const start = () => {
  if (!state.tunnel || document.hidden) return;
  look();
  if (!ear) listen();
};
const stop = () => {
  clearTimeout(timer);
  ear?.abort();
  ear = undefined;
  state.live = false;
};

// Acting. What opens is asked for twice by the person, and sent once by the page, whatever happens to it.
const face = ({ state: now, kind }) => {
  const strike = kind === "strike";
  return TEXT.states[now === "unlocking" && strike ? "opening" : now === "unknown" && strike ? "blind" : now] ?? TEXT.states.unknown;
};
/** What is offered: the opposite of what is so, and both when nobody knows. */
const offered = ({ state: now, capabilities }) => {
  const all = now === "locked" ? ["unlock", "open"] : now === "unlocked" || now === "open" ? ["lock", "open"] : ["lock", "unlock", "open"];
  return all.filter((action) => capabilities.includes(action));
};
const press = (door, action, event) => {
  if (state.running.has(door.id) || old()) return;
  if (action === "lock") return act(door, action);
  // Whoever presses without a pointer may need longer to find the yes.
  const slow = event.detail === 0;
  const ask = { action, slow, at: Date.now() };
  state.ask.set(door.id, ask);
  draw();
  document.querySelector(`#door-${door.id} [data-focus]`)?.focus();
  setTimeout(() => { if (state.ask.get(door.id) === ask) settle(door); }, slow ? 4 * YES : YES);
};
const settle = (door) => {
  state.ask.delete(door.id);
  draw();
};
const yes = (door) => {
  const ask = state.ask.get(door.id);
  if (!ask || Date.now() - ask.at < DOUBLE_TAP) return;
  state.ask.delete(door.id);
  act(door, ask.action);
};
const act = async (door, action) => {
  const { tunnel } = state;
  const running = { action, still: false };
  state.running.set(door.id, running);
  state.outcomes.delete(door.id);
  draw();
  say(TEXT.actions[action][1]);
  const patience = setTimeout(() => { running.still = true; draw(); }, 4000);
  const end = { ...await tried(tunnel, door.id, action), action };
  clearTimeout(patience);
  if (tunnel !== state.tunnel) return;
  // The verdict and the new state appear together.
  await Promise.race([look(), new Promise((done) => setTimeout(done, 1500))]);
  if (tunnel !== state.tunnel) return;
  state.running.delete(door.id);
  state.outcomes.set(door.id, end);
  draw();
  const [verdict, , tone] = TEXT.outcomes[end.state];
  say(TEXT.said(door.name, TEXT.actions[action][0], verdict, end.why));
  // Good news is short-lived; what went wrong stays until something else is done.
  if (tone === "ok") setTimeout(() => { if (state.outcomes.get(door.id) === end) { state.outcomes.delete(door.id); draw(); } }, 60_000);
};
/** What became of it, as far as anybody can know. Only what came under the seal is certain. */
const tried = async (tunnel, door, action) => {
  if (!navigator.onLine) return outcome("undone");
  let attempt;
  try {
    attempt = await tunnel.act(door, action);
    for (let times = 0; times < FOLLOW && attempt.state === "pending"; times += 1) attempt = await tunnel.outcome(attempt);
  } catch (error) {
    if (attempt) return outcome("pending");
    if (!error.certain) return outcome("lost");
    const why = error.kind === "clock" ? `${TEXT.clock}. ${clockText(error.ahead)}` : error.message;
    return outcome("refused", `${TEXT.outcomes.refused[3]} ${why}`);
  }
  const { state: word, reason, detail } = attempt;
  if (word === "confirmed" || !Object.hasOwn(TEXT.outcomes, word)) return outcome(word === "confirmed" ? word : "lost");
  return outcome(word, detail?.slice(0, 300), reason === "jammed" ? TEXT.jammed : undefined);
};
const outcome = (word, why, advice) => ({ state: word, why: why ?? TEXT.outcomes[word][3], advice: advice ?? TEXT.outcomes[word][4], at: Date.now() });
/** Whether what is shown is not what is so. */
const old = () => state.trouble !== undefined;

// Drawing.
const clockText = (ahead) => TEXT.clockText(TEXT.gap(Math.abs(ahead)), ahead > 0);
const banner = (tone, mark, [title, text], ...more) =>
  h("section", { class: `banner ${tone}` }, icon(mark), h("div", { class: "banner-body" }, h("strong", {}, title), h("p", {}, text), ...more));
const empty = (tone, mark, [title, text], ...buttons) =>
  h("div", { class: "empty" }, h("div", { class: `empty-icon ${tone}` }, icon(mark)), h("h1", {}, title), h("p", {}, text), h("div", { class: "buttons" }, buttons));
const facts = (...pairs) => h("dl", { class: "facts" }, pairs.map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))));

const doorCard = (door, grouped) => {
  const { id, name } = door;
  const [word, mark, tone] = face(door);
  const [ask, running, end] = [state.ask.get(id), state.running.get(id), state.outcomes.get(id)];
  const place = $(`door-${id}`) ?? h("article", { id: `door-${id}`, "aria-labelledby": `name-${id}` });
  place.className = `card door ${old() ? "calm old" : tone}`;
  put(place, [door, ask, running, end, old() && state.at, grouped], () => {
    const badges = [];
    if (door.online === false) badges.push(badge([TEXT.offline, "offline", "warn"]));
    if (door.battery !== null && door.battery <= BATTERY_LOW) badges.push(badge([TEXT.battery(door.battery), "battery", "warn"]));
    if (door.contact_open && door.state !== "open") badges.push(badge([TEXT.contactOpen, "door-open", "warn"]));
    let evidence = door.since && mark !== "spin" && TEXT.since(clock(door.since));
    if (door.state === "unknown") evidence = door.kind === "strike" ? TEXT.blind : TEXT.unseen;
    if (door.online === false) evidence = TEXT.away;
    if (old()) evidence = TEXT.asOf(clock(state.at));
    return [
      h("header", { class: "door-head" }, h("h2", { id: `name-${id}` }, name), h("span", { class: "badges" }, badges)),
      h("div", { class: "door-state" },
        h("div", { class: "state-icon" }, icon(mark)),
        h("div", { class: "state-words" }, h("p", { class: "state-word" }, word), h("p", { class: "evidence" }, evidence || ""))),
      running ? attemptView(running.action, "pending", running.still ? TEXT.still : TEXT.sent) : end && attemptView(end.action, end.state, end.why, end.advice, end.at),
      ask ? askView(door, ask) : h("div", { class: "buttons" }, offered(door).map((action) => actionButton(door, action, running))),
    ];
  });
  return place;
};
const actionButton = (door, action, running) => {
  const [label, doing] = TEXT.actions[action];
  const busy = running?.action === action;
  const primary = action === "lock" && (door.state === "unlocked" || door.state === "open") && !old();
  const more = { class: `button${primary ? " primary" : ""}`, "aria-label": TEXT.at(busy ? doing : label, door.name), "aria-busy": busy, "aria-disabled": running || old() ? "true" : undefined };
  return button(action, busy ? doing : label, (event) => press(door, action, event), more, action === "open" ? "door-open" : action);
};
const askView = (door, { action, slow }) => {
  const [label] = TEXT.actions[action];
  const question = TEXT.really(label.toLowerCase(), door.name);
  return h("div", { class: `ask busy${slow ? " slow" : ""}`, role: "group", "aria-label": question, tabindex: "-1", "data-focus": "" },
    h("strong", {}, question),
    h("div", { class: "buttons" },
      button("no", TEXT.cancel, () => settle(door)),
      button("yes", label, () => yes(door), { class: "button primary" }, action === "open" ? "door-open" : action)));
};
const attemptView = (action, verdict, why, advice, at) => {
  const words = TEXT.outcomes[verdict];
  return h("section", { class: `attempt ${words[2]}` },
    h("header", { class: "attempt-head" }, badge(words), h("span", {}, TEXT.actions[action][0]), at && h("time", {}, clock(at))),
    h("p", {}, why),
    advice && h("p", {}, h("strong", {}, TEXT.whatToDo), ` ${advice}`));
};
const doorsView = () => {
  const { doors, trouble } = state;
  const again = button("again", TEXT.again, look, { class: "button primary" });
  const other = button("other", TEXT.otherKey, () => { state.typing = true; draw(); });
  if (trouble?.kind === "unknown-key") return empty("bad", "key", TEXT.strange, again, other);
  if (trouble?.kind === "refused") return empty("warn", "key", TEXT.barred, again, other);
  if (!doors && trouble) return empty("warn", troubleWords(trouble)[2], troubleWords(trouble), again);
  if (!doors) return empty("busy", "spin", [TEXT.loading, ""]);
  if (!doors.length) return empty("calm", "door-open", TEXT.none, again);
  return [
    h("header", { class: "page-head" }, h("h1", {}, TEXT.doors), h("p", { class: "quiet", id: "summary" })),
    h("div", { id: "list" }),
  ];
};
const fillList = () => {
  const { doors } = state;
  const counts = new Map();
  for (const door of doors) {
    const [word] = face(door);
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  $("summary").textContent = old() ? "" : [...counts].map(([word, count]) => `${count} ${word.toLowerCase()}`).join(" · ");
  const sites = [...new Set(doors.map(({ site }) => site))];
  put($("list"), doors.map(({ id, site }) => [id, site]), () => sites.map((site) => {
    const cards = doors.filter((door) => door.site === site).map((door) => doorCard(door, sites.length));
    return h("section", { class: "group" }, sites.length > 1 && h("h2", { class: "group-name" }, site.replace(/_/g, " ")), h("div", { class: "grid" }, cards));
  }));
  for (const door of doors) doorCard(door, sites.length);
};
const pairView = () => {
  const field = h("textarea", { id: "pairing", rows: "3", required: "", autocomplete: "off", autocapitalize: "off", spellcheck: "false", "data-key": "field", "aria-invalid": state.wrong ? "true" : undefined, "aria-describedby": state.wrong ? "wrong" : undefined });
  field.value = $("pairing")?.value ?? "";
  const send = (event) => {
    event.preventDefault();
    take(field.value);
  };
  return h("div", { class: "slim" },
    empty("", "key", [TEXT.pairTitle, TEXT.pairText]),
    h("form", { class: "card form", onsubmit: send },
      h("label", { class: "field" }, h("span", {}, TEXT.pairField), field),
      state.wrong && h("p", { class: "error", id: "wrong", role: "alert" }, state.wrong),
      h("div", { class: "buttons" },
        h("button", { class: "button primary", "data-key": "pair" }, TEXT.pair),
        state.key && button("cancel", TEXT.cancel, () => { state.typing = false; state.wrong = undefined; draw(); })),
      navigator.standalone === false && h("p", { class: "quiet" }, TEXT.homeScreen)));
};
const offerView = () => {
  const named = (name) => name || TEXT.unnamed;
  return h("div", { class: "slim" }, empty("warn", "key", [TEXT.replaceTitle, TEXT.replaceText(named(state.key.name), named(state.offer.name))],
    button("keep", TEXT.keep, () => { state.offer = undefined; draw(); }),
    button("replace", TEXT.replace, () => pair(state.offer), { class: "button primary" })));
};
const deviceCard = () => {
  const { key, pin, prompt, forgetting } = state;
  const rows = [];
  if (key) rows.push([TEXT.key, key.name || TEXT.unnamed], [TEXT.since_, clock(key.added)]);
  rows.push([TEXT.version, pin ? fingerprint(pin) : TEXT.unpinned]);
  return h("section", { class: "card" }, h("h2", {}, TEXT.device), facts(...rows),
    forgetting
      ? h("div", { class: "ask bad", role: "group", "aria-label": TEXT.forget, tabindex: "-1", "data-focus": "" }, h("p", {}, TEXT.forgetText),
        h("div", { class: "buttons" },
          button("no", TEXT.cancel, () => { state.forgetting = false; draw(); }),
          button("yes", TEXT.forgetYes, drop, { class: "button danger" })))
      : (key || prompt) && h("div", { class: "buttons" },
        prompt && button("install", TEXT.install, () => { prompt.prompt(); state.prompt = undefined; draw(); }),
        key && button("forget", TEXT.forget, () => { state.forgetting = true; draw(); }, { class: "button danger" })));
};
const alongCard = () => h("section", { class: "card" }, h("h2", {}, TEXT.along),
  h("ul", { class: "points" }, TEXT.points.map(([mark, tone, text]) => h("li", { class: tone }, icon(mark), h("span", {}, text)))));

/** What stands in the way, as title, text and icon. */
const troubleWords = ({ kind, ahead }) => {
  if (kind === "clock") return [TEXT.clock, clockText(ahead), "clock"];
  if (!navigator.onLine) return [...TEXT.nets.offline, "offline"];
  return [...TEXT.nets[kind], kind === "busy" ? "clock" : "offline"];
};
const troubleBanner = () => {
  const { trouble, tunnel, doors } = state;
  const near = { kind: "clock", ahead: tunnel.ahead };
  if (!trouble) return Math.abs(near.ahead) > CLOCK && banner("warn", "clock", troubleWords(near));
  if (!doors || trouble.kind === "unknown-key" || trouble.kind === "refused") return undefined;
  const words = troubleWords(trouble);
  return banner("warn", words[2], words, h("div", { class: "buttons" }, button("retry", TEXT.again, look)));
};
const updateBanner = ({ build }) => banner("busy", "shield", [TEXT.update, TEXT.updateText],
  facts([TEXT.now, fingerprint(state.pin)], [TEXT.next, fingerprint(build)]),
  h("div", { class: "buttons" },
    button("update", TEXT.updateYes, accept, { class: "button primary" }),
    button("later", TEXT.updateNo, () => { state.update = undefined; draw(); })));

const draw = () => {
  const { key, doors, trouble, live, update, warning, kept: stored } = state;
  const mode = !key || state.typing ? "pair" : state.offer ? "offer" : "doors";
  put($("banners"), [mode, trouble, navigator.onLine, Math.round(state.tunnel?.ahead ?? 0) > CLOCK, state.tunnel?.ahead < -CLOCK, update?.build, state.pin, warning, stored, key?.linked], () => [
    warning && banner(warning === TEXT.noPin ? "warn" : "bad", "alert", warning),
    update && state.pin && updateBanner(update),
    key?.linked && mode === "doors" && !trouble && banner("warn", "key", TEXT.linked, h("div", { class: "buttons" }, button("linked", TEXT.linkedDone, unlink))),
    !stored && key && banner("warn", "key", TEXT.unkept),
    mode === "doors" && troubleBanner(),
  ]);
  const what = mode === "doors" ? [trouble && [doors ? trouble.kind : trouble, navigator.onLine, !!doors], doors && doors.length > 0, key.added] : [state.wrong, state.offer?.name, !!key];
  put($("body"), [mode, what], mode === "pair" ? pairView : mode === "offer" ? offerView : doorsView);
  if ($("list")) fillList();
  put($("about"), [mode, key?.added, state.pin, state.forgetting, !!state.prompt], () => h("div", { class: mode === "doors" ? "grid" : "grid slim" }, mode === "doors" ? [deviceCard(), alongCard()] : [alongCard(), deviceCard()]));
  const away = trouble?.kind === "unreachable" ? TEXT.noLine : "";
  $("live").textContent = mode !== "doors" || (!doors && !trouble) ? "" : trouble ? away : live ? TEXT.live : TEXT.polling;
  $("live").classList.toggle("off", !!trouble);
};

// The pin. Another build may lie ready or even be at work behind this page: what it serves is still the accepted one.
const CACHE = "doorward-remote";
const pinned = async () => (await caches.match("/remote/pin", { cacheName: CACHE }))?.text();
const buildOf = (worker) => new Promise((done, fail) => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = ({ data }) => done(data);
  setTimeout(fail, 5000, new Error("a worker does not answer"));
  worker.postMessage("build", [port2]);
});
// The build of this very page stays what it was; the pin may move on, here or in another window.
let registration, mine;
const compare = async () => {
  state.pin = await pinned();
  mine ??= state.pin;
  const newest = registration.waiting ?? registration.active;
  const build = newest && await buildOf(newest);
  state.update = build && state.pin && build !== state.pin ? { build } : undefined;
  draw();
};
/** The person said yes: that is written down first, since a worker obeys only what is written. */
const accept = async () => {
  const { build } = state.update;
  if (!await caches.has(`${CACHE}-${build}`)) return compare();
  await (await caches.open(CACHE)).put("/remote/pin", new Response(build));
  const { waiting, active } = registration;
  (waiting ?? active).postMessage("accepted");
  if (!waiting) location.reload();
};
const watch = (worker) => {
  let whole = false;
  worker?.addEventListener("statechange", () => {
    if (worker.state !== "redundant") {
      whole = true;
      return compare().catch(() => {});
    }
    // One that was never whole did not get its files, or not those of its list.
    if (!whole) state.warning = state.pin ? TEXT.updateBad : TEXT.noPin;
    draw();
  });
};
const pinning = async () => {
  const workers = navigator.serviceWorker;
  let ours = workers.controller;
  workers.addEventListener("controllerchange", async () => {
    const before = ours;
    ours = workers.controller;
    if (!before) return compare();
    if (await pinned() !== mine) return location.reload();
    state.warning = TEXT.usurped;
    draw();
  });
  registration = await workers.register("/remote/worker.js", { scope: "/remote", updateViaCache: "none" });
  watch(registration.installing);
  registration.addEventListener("updatefound", () => watch(registration.installing));
  await compare();
};

const begin = async () => {
  if (!globalThis.crypto?.subtle) return $("body").append(empty("bad", "lock", TEXT.insecure));
  if (navigator.serviceWorker) pinning().catch(() => { state.warning = TEXT.noPin; draw(); });
  else state.warning = TEXT.noPin;
  use(await load().catch(() => undefined));
  if (given) await take(given);
  given = "";
  addEventListener("hashchange", () => {
    const link = takeLink();
    if (link) take(link);
  });
  addEventListener("online", start);
  addEventListener("offline", look);
  addEventListener("beforeinstallprompt", (event) => { event.preventDefault(); state.prompt = event; draw(); });
  document.addEventListener("visibilitychange", async () => {
    if (document.hidden) {
      state.ask.clear();
      return stop();
    }
    // Another window may have forgotten or replaced the key meanwhile.
    const record = state.kept ? await load().catch(() => state.key) : state.key;
    if (record?.added !== state.key?.added) return use(record);
    start();
  });
};
begin();

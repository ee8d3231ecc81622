// The page of a pass. The secret is in the fragment of the link: it goes to nobody but the house, as a header.
"use strict";
(() => {
  const doc = document;
  const $ = (id) => doc.getElementById(id);
  // In its order: ends in; opens from; no end; times left; lock; working; offline; no pass; not yet reachable; wrong link; day, h, min, s; code at the door;
  // over Bluetooth: open, done, refused, no time, another lock, no answer, no lock chosen.
  const words = doc.body.dataset.words.split("|");
  const KEPT = "doorward.pass";
  const valid = (text) => /^dwp_[\w-]{43}$/.test(text);

  // The link stays in the address, so that a bookmark and the home screen keep it; where an app is opened without one, the last is used.
  const stored = () => { try { return localStorage.getItem(KEPT) || ""; } catch { return ""; } };
  let secret = location.hash.slice(1);
  if (valid(secret)) { try { localStorage.setItem(KEPT, secret); } catch { /* private window */ } } else secret = stored();
  addEventListener("hashchange", () => location.reload());

  const call = async (path, body) => {
    const response = await fetch(path, {
      method: "POST",
      headers: { authorization: `Bearer ${secret}`, ...(body && { "content-type": "application/json" }) },
      body: body && JSON.stringify(body),
      cache: "no-store",
    });
    const answer = await response.json().catch(() => ({}));
    return { ok: response.ok, status: response.status, answer };
  };

  const note = (text, tone) => {
    const place = $("note");
    place.hidden = !text;
    place.className = `note ${tone || ""}`;
    if (place.textContent !== text) place.textContent = text || "";
  };

  const units = [[86400, 10], [3600, 11], [60, 12], [1, 13]];
  const span = (seconds) => {
    const [unit, word] = units.find(([unit]) => seconds >= (unit === 3600 ? 1 : 2) * unit || unit === 1);
    const text = `${Math.floor(seconds / unit)} ${words[word]}`;
    const smaller = unit >= 3600 && units.find(([smaller]) => smaller < unit);
    const rest = smaller && Math.floor((seconds % unit) / smaller[0]);
    return rest ? `${text} ${rest} ${words[smaller[1]]}` : text;
  };

  let shown;
  let skew = 0;
  const about = () => {
    if (!shown || shown.text) return;
    const now = Date.now() + skew;
    const parts = [];
    if (shown.state === "not_yet") parts.push(`${words[1]} ${new Date(shown.from).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })}`);
    else if (shown.until) parts.push(`${words[0]} ${span(Math.max(0, (Date.parse(shown.until) - now) / 1000))}`);
    else parts.push(words[2]);
    if (shown.terms) parts.push(shown.terms);
    if (shown.left !== null) parts.push(words[3].replace("#", shown.left));
    $("about").textContent = parts.join(" · ");
  };

  const busy = new Set();
  const prepared = new Set();
  const told = new Map();
  const render = (view) => {
    shown = view;
    skew = Date.parse(view.now) - Date.now();
    $("name").textContent = view.name;
    doc.title = view.name;
    note(view.text, "bad");
    if (view.text) $("about").textContent = "";
    about();
    $("pin-field").hidden = !view.needs_pin || !!view.text;
    $("phones").hidden = !view.phones || !!view.text;
    const place = $("doors");
    const known = new Set(view.doors.map((door) => `door-${door.id}`));
    for (const card of [...place.children]) if (!known.has(card.id)) card.remove();
    for (const door of view.doors) {
      let card = $(`door-${door.id}`);
      if (!card) {
        card = $("door").content.firstElementChild.cloneNode(true);
        card.id = `door-${door.id}`;
        card.querySelector(".pass-open").addEventListener("click", () => act(door.id, "open"));
        card.querySelector(".pass-lock").addEventListener("click", () => act(door.id, "lock"));
        card.querySelector(".pass-near").addEventListener("click", () => near(door.id));
        place.append(card);
      }
      const [open, lock] = [card.querySelector(".pass-open"), card.querySelector(".pass-lock")];
      card.dataset.tone = door.tone;
      card.querySelector("h2").textContent = door.name;
      card.querySelector(".pass-state").textContent = door.online === false ? words[6] : door.word;
      open.dataset.action = door.open;
      open.textContent = busy.has(door.id) ? words[5] : door.open_label;
      open.disabled = busy.has(door.id) || !door.allowed;
      lock.hidden = !door.lock;
      lock.textContent = words[4];
      lock.disabled = busy.has(door.id) || !!view.text || view.state === "not_yet";
      const beside = card.querySelector(".pass-near");
      beside.hidden = !door.near || !doorwardNear.can();
      beside.textContent = words[15];
      beside.disabled = open.disabled;
      if (!beside.hidden && door.allowed && !view.needs_pin && !prepared.has(door.id)) {
        prepared.add(door.id);
        doorwardNear.prepare(door.id, () => session(door.id)).catch(() => {});
      }
      const attempt = told.get(door.id);
      const said = card.querySelector(".pass-told");
      const code = card.querySelector(".pass-code");
      code.hidden = !door.code;
      code.textContent = door.code ? words[14].replace("#", door.code) : "";
      const text = busy.has(door.id) ? "" : attempt ? [attempt.word, attempt.detail].filter(Boolean).join(" – ") : door.denied || "";
      said.className = `pass-told ${attempt ? attempt.tone : ""}`;
      if (said.textContent !== text) said.textContent = text;
    }
  };

  const look = async () => {
    if (!valid(secret)) return note(words[7], "bad");
    try {
      const { ok, status, answer } = await call("/p/look");
      if (ok) render(answer);
      else if (status === 401) { $("doors").replaceChildren(); note(words[9], "bad"); }
      else note(answer.detail || words[8], "warn");
    } catch { note(words[8], "warn"); }
  };

  const act = async (door, what) => {
    if (busy.has(door)) return;
    const card = $(`door-${door}`);
    const action = what === "lock" ? "lock" : card.querySelector(".pass-open").dataset.action;
    if (shown.needs_pin && !$("pin").value) { $("pin").focus(); return; }
    busy.add(door);
    told.delete(door);
    render(shown);
    let verdict;
    let view;
    try {
      const id = crypto.randomUUID ? crypto.randomUUID() : "10000000-1000-4000-8000-100000000000".replace(/[018]/g, (c) => (c ^ crypto.getRandomValues(new Uint8Array(1))[0] & 15 >> c / 4).toString(16));
      const { ok, answer } = await call("/p/open", { id, door, action, ...(shown.needs_pin && { pin: $("pin").value }) });
      if (ok) { verdict = answer.attempt; view = answer.pass; } else verdict = { word: answer.detail || words[8], tone: "bad" };
    } catch { verdict = { word: words[8], tone: "warn" }; }
    say(door, verdict, view);
  };

  const say = (door, verdict, view) => {
    busy.delete(door);
    told.set(door, verdict);
    if (navigator.vibrate) navigator.vibrate(verdict.tone === "ok" ? 40 : [40, 60, 40]);
    $("say").textContent = verdict.word;
    if (view) render(view); else { render(shown); look(); }
    setTimeout(() => { if (told.get(door) === verdict) { told.delete(door); render(shown); } }, 20000);
  };

  // A code for a phone with a program of its own.
  $("invite").addEventListener("click", async () => {
    if (shown.needs_pin && !$("pin").value) { $("pin").focus(); return; }
    const said = $("invite-code");
    try {
      const { ok, answer } = await call("/p/invite", shown.needs_pin ? { pin: $("pin").value } : {});
      const issuer = answer.issuer ? ` --issuer ${answer.issuer}` : "";
      said.textContent = ok ? `doorward ble guest --lock ${answer.locks[0].lock} --invite ${answer.invite}${issuer}` : answer.detail || words[8];
    } catch { said.textContent = words[8]; }
  });

  // Over Bluetooth, at the lock.
  const session = async (door) => {
    const { ok, answer } = await call("/p/near", { door, ...(shown.needs_pin && { pin: $("pin").value }) });
    if (!ok) throw Object.assign(new Error(answer.detail), { detail: answer.detail || words[8] });
    return answer;
  };

  const near = async (door) => {
    if (busy.has(door)) return;
    if (shown.needs_pin && !$("pin").value) { $("pin").focus(); return; }
    busy.add(door);
    told.delete(door);
    render(shown);
    const verdicts = { done: [16, "ok"], refused: [17, "bad"], no_time: [18, "bad"], other_lock: [19, "warn"], NotFoundError: [21, "calm"] };
    let verdict;
    try {
      const result = await doorwardNear.open(door, () => session(door), "open");
      const [word, tone] = verdicts[result] || [20, "warn"];
      verdict = { word: words[word], tone };
      // A session that is refused may have been taken back: the next one is asked for.
      if (result !== "done") doorwardNear.forget(door);
    } catch (error) {
      const [word, tone] = verdicts[error.word || error.name] || [20, "warn"];
      verdict = error.detail ? { word: error.detail, tone: "bad" } : { word: words[word], tone };
    }
    say(door, verdict);
  };

  look();
  setInterval(about, 1000);
  setInterval(() => { if (!doc.hidden && !busy.size) look(); }, 3000);
  doc.addEventListener("visibilitychange", () => { if (!doc.hidden) look(); });
})();

// Makes pages live. Everything here only repeats what the server has rendered; without it every page still works.
"use strict";
(() => {
  const doc = document;
  const $ = (id) => doc.getElementById(id);
  const words = (doc.body.dataset.words || "").split("|");

  // Relative times. The words come from the server, so that they are translated in one place.
  const spans = [[60, 1, 1], [3600, 60, 2], [129600, 3600, 3], [Infinity, 86400, 4]];
  const relative = (iso) => {
    const seconds = (Date.now() - Date.parse(iso)) / 1000;
    const past = Math.abs(seconds);
    if (past < 3) return words[0];
    const [, unit, word] = spans.find(([below]) => past < below);
    // What is to come is rounded: four hours are “in 4 h” also a second later.
    return seconds < 0 ? words[word + 4].replace("#", Math.round(past / unit)) : words[word].replace("#", Math.floor(past / unit));
  };
  const tick = (root) => {
    for (const time of root.querySelectorAll("time[data-rel]")) {
      const text = relative(time.dateTime);
      if (time.textContent !== text) time.textContent = text;
    }
  };

  // Says something to people who listen to the page.
  const say = (text) => {
    const place = $("say");
    if (!text || !place) return;
    place.textContent = "";
    setTimeout(() => { place.textContent = text; }, 60);
  };
  const told = (root) => new Map([root, ...root.querySelectorAll("[data-say]")].filter((e) => e.dataset.say).map((e) => [e.id, e.dataset.say]));
  const tell = (before, root) => {
    for (const [id, text] of told(root)) if (before.get(id) !== text) say(text);
  };

  // Makes an element like another one and keeps what stays the same: whoever is about to press a button presses that
  // very button. What can be pressed or filled in never becomes something else.
  const key = (node) => [node.nodeName, node.id, node.name, node.localName === "input" ? "" : node.value, node.dataset?.key, node.href].join("|");
  const morph = (old, next) => {
    if (old.isEqualNode(next)) return;
    if (old.nodeType !== Node.ELEMENT_NODE) {
      old.data = next.data;
      return;
    }
    const stays = (name) => name === "open" && old.localName === "details" && old.id;
    for (const { name } of [...old.attributes]) if (!next.hasAttribute(name) && !stays(name)) old.removeAttribute(name);
    for (const { name, value } of next.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    let place = old.firstChild;
    for (const child of [...next.childNodes]) {
      let same = place;
      while (same && key(same) !== key(child)) same = same.nextSibling;
      if (!same) {
        old.insertBefore(child, place);
        continue;
      }
      while (place !== same) {
        const gone = place;
        place = place.nextSibling;
        gone.remove();
      }
      place = same.nextSibling;
      morph(same, child);
    }
    while (place) {
      const gone = place;
      place = place.nextSibling;
      gone.remove();
    }
  };

  // Makes the element with the same id like this one; focus and open details stay as they are.
  const swap = (next) => {
    const old = $(next.id);
    const before = told(old);
    const focused = old.contains(doc.activeElement) ? doc.activeElement : null;
    if (key(old) === key(next)) morph(old, next);
    else old.replaceWith(next);
    const now = $(next.id);
    if (focused && !now.contains(doc.activeElement)) {
      (now.querySelector(`[data-key="${focused.dataset.key}"]`) || (focused.id && $(focused.id)) || now.querySelector("button, a"))?.focus();
    }
    tell(before, now);
  };
  const patch = (html) => {
    const holder = doc.createElement("template");
    holder.innerHTML = html;
    for (const next of [...holder.content.children]) {
      tick(next);
      const { after, into, once } = next.dataset;
      if ($(next.id)) {
        if (once === undefined && !$(next.id).isEqualNode(next)) swap(next);
      } else if (into && $(into)) {
        const list = $(into);
        if (after && $(after)) $(after).after(next);
        else list.prepend(next);
        next.classList.add("fresh");
        $(`${into}-none`)?.remove();
        if (next.dataset.event) list.dataset.last = next.dataset.event;
        while (list.children.length > Number(list.dataset.most || 400)) list.lastElementChild.remove();
      } else if (next.localName === "article" && performance.now() > 3000) {
        location.reload();
      }
    }
  };

  // Parts that take a while are fetched when the rest is there.
  const headers = { "x-live": doc.body.dataset.live || "1" };
  for (const part of doc.querySelectorAll("[data-load]")) {
    const link = part.querySelector("[data-loading]");
    link?.setAttribute("aria-busy", "true");
    if (link) link.querySelector("span").textContent = link.dataset.loading;
    fetch(part.dataset.load, { headers, redirect: "manual" })
      .then(async (answer) => answer.ok ? patch(await answer.text()) : Promise.reject(answer))
      .catch(() => link?.removeAttribute("aria-busy"));
  }

  // Buttons of live forms: pressed at once, answered by the server with fragments.
  const flash = (text) => {
    const note = doc.createElement("p");
    note.className = "note bad";
    note.setAttribute("role", "alert");
    note.textContent = text;
    $("flash").replaceChildren(note);
  };
  const press = (button) => {
    button.setAttribute("aria-busy", "true");
    const label = button.querySelector("span");
    if (label && button.dataset.busy) label.textContent = button.dataset.busy;
  };
  let leaving = false;
  doc.addEventListener("submit", async (event) => {
    const form = event.target;
    const button = event.submitter;
    if (button?.getAttribute("aria-busy") === "true" || button?.getAttribute("aria-disabled") === "true") return event.preventDefault();
    if (form.dataset.live === undefined) {
      leaving = true;
      if (button) setTimeout(() => press(button));
      return;
    }
    event.preventDefault();
    const body = new URLSearchParams(new FormData(form, button));
    const was = button.querySelector("span")?.textContent;
    press(button);
    const calm = () => {
      button.removeAttribute("aria-busy");
      if (was !== undefined) button.querySelector("span").textContent = was;
    };
    try {
      const answer = await fetch(form.getAttribute("action"), { method: "POST", body, headers, redirect: "manual" });
      if (answer.type === "opaqueredirect" || answer.status === 401) return location.reload();
      if ((answer.headers.get("content-type") || "").startsWith("text/html")) patch(await answer.text());
      calm();
    } catch {
      calm();
      flash(words[9]);
    }
  });
  // A page that comes back from the browser's memory shows no old state.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  doc.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (!button) return;
    const field = $(button.dataset.copy);
    field.select();
    try { await navigator.clipboard.writeText(field.value); } catch { doc.execCommand("copy"); }
    button.querySelector("span").textContent = button.dataset.done;
    say(button.dataset.done);
  });
  for (const button of doc.querySelectorAll("[data-copy]")) button.hidden = false;

  // Phones hand a link on by themselves.
  for (const button of navigator.share ? doc.querySelectorAll("[data-share]") : []) {
    button.hidden = false;
    button.addEventListener("click", () => navigator.share({ title: button.dataset.title, url: $(button.dataset.share).value }).catch(() => {}));
  }

  // A file's text goes where it could be pasted.
  for (const input of doc.querySelectorAll("[data-reads-into]")) {
    const field = $(input.dataset.readsInto);
    input.closest("label").hidden = false;
    input.addEventListener("change", async () => {
      const file = input.files[0];
      if (file && file.size < 1 << 20) field.value = await file.text();
      input.setCustomValidity(file && file.size >= 1 << 20 ? input.dataset.big : "");
      input.reportValidity();
    });
  }

  // The stream. The browser gives up after some errors, so reconnecting is done here, slower and slower.
  const state = $("live-state");
  let source, wait = 1000, timer;
  const show = (on) => {
    state.hidden = false;
    state.dataset.state = on ? "on" : "off";
    state.querySelector(".live-word").textContent = words[on ? 10 : 11];
  };
  const connect = () => {
    clearTimeout(timer);
    source?.close();
    const last = $("events")?.dataset.last;
    source = new EventSource(`/live?view=${encodeURIComponent(doc.body.dataset.live)}${last ? `&after=${last}` : ""}`);
    source.onopen = () => { wait = 1000; show(true); };
    source.addEventListener("patch", (event) => patch(event.data));
    // What a form that is under way leads to is newer than what would be loaded here, if it leads anywhere.
    source.addEventListener("bye", (event) => {
      const go = () => event.data === "reload" ? location.reload() : location.replace(event.data);
      source.close();
      if (leaving) setTimeout(go, 30000);
      else go();
    });
    source.onerror = () => {
      source.close();
      show(false);
      timer = setTimeout(connect, wait * (0.75 + Math.random() / 2));
      wait = Math.min(wait * 2, 30000);
    };
  };
  if (doc.body.dataset.live && state) {
    connect();
    addEventListener("online", connect);
    // Browsers allow few connections to one place, so pages that nobody looks at give theirs back.
    doc.addEventListener("visibilitychange", () => {
      if (!doc.hidden) return connect();
      clearTimeout(timer);
      source.close();
    });
  }
  // What was done is said once, not again when the page is reloaded.
  const here = new URL(location.href);
  if (here.searchParams.has("done")) {
    here.searchParams.delete("done");
    history.replaceState(null, "", here);
  }
  tick(doc);
  setInterval(() => tick(doc), 10000);
})();

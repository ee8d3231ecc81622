// Turns notifications on and off in this browser. The page says what to do where this does not run.
"use strict";
(() => {
  const part = document.getElementById("device");
  if (!part) return;
  const { csrf, subscription, words: text } = part.dataset;
  const words = text.split("|");
  const $ = (id) => document.getElementById(id);
  const [on, off, state] = [$("device-on"), $("device-off"), $("device-state")];

  const show = (turned, word, tone) => {
    state.textContent = word;
    state.className = `note ${tone}`;
    state.hidden = false;
    on.hidden = turned !== false;
    off.hidden = turned !== true;
    $("device-test").hidden = turned !== true;
  };
  const api = async (method, path, body) => {
    const headers = { "x-csrf-token": csrf };
    if (body) headers["content-type"] = "application/json";
    const answer = await fetch(`/api/v1/push/${path}`, { method, headers, body: body && JSON.stringify(body) });
    if (answer.ok) return answer.status === 204 ? null : answer.json();
    const problem = await answer.json().catch(() => ({}));
    throw new Error(problem.detail || words[5]);
  };
  const bytes = (base64) => Uint8Array.from(atob(base64.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));

  const turnOn = async () => {
    if (await Notification.requestPermission() !== "granted") return show(false, words[3], "warn");
    const worker = await navigator.serviceWorker.register("/push-worker.js", { scope: "/" });
    await navigator.serviceWorker.ready;
    const { key } = await api("GET", "key");
    // One of another doorward, or of a key that is gone, would not let itself be used.
    await (await worker.pushManager.getSubscription())?.unsubscribe();
    const made = await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytes(key) });
    await api("POST", "subscriptions", made.toJSON());
    location.reload();
  };
  const turnOff = async () => {
    const worker = await navigator.serviceWorker.getRegistration("/");
    await (await worker?.pushManager.getSubscription())?.unsubscribe();
    if (subscription) await api("DELETE", `subscriptions/${subscription}`);
    location.reload();
  };
  const press = (button, work) => button.addEventListener("click", async () => {
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    try {
      await work();
    } catch (error) {
      show(subscription !== "", error.message || words[5], "bad");
    }
    button.removeAttribute("aria-busy");
  });

  const start = async () => {
    if (!isSecureContext) return show(null, words[0], "warn");
    if (!("serviceWorker" in navigator && "PushManager" in window && "Notification" in window)) return show(null, words[1], "warn");
    if (Notification.permission === "denied") return show(subscription ? true : null, words[3], "warn");
    const worker = await navigator.serviceWorker.getRegistration("/");
    const here = await worker?.pushManager.getSubscription();
    if (subscription && here) return show(true, words[2], "good");
    show(false, words[4], "calm");
  };
  press(on, turnOn);
  press(off, turnOff);
  start().catch(() => show(false, words[4], "calm"));
})();

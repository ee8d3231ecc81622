// Shows what doorward tells, also when no page is open. It keeps nothing and answers no requests.
"use strict";

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));

addEventListener("push", (event) => {
  let told = {};
  try {
    told = event.data.json();
  } catch {
    // Browsers want to see something for every message; this one could not be read.
  }
  const { title = "doorward", body = "", tag = "doorward", url = "/events", time } = told;
  event.waitUntil(registration.showNotification(title, {
    body,
    tag,
    renotify: true,
    icon: "/assets/icon.svg",
    timestamp: Date.parse(time) || Date.now(),
    data: { url },
  }));
});

addEventListener("notificationclick", (event) => {
  event.notification.close();
  const url = new URL(event.notification.data?.url ?? "/", location.origin);
  if (url.origin !== location.origin) return;
  event.waitUntil((async () => {
    const open = await clients.matchAll({ type: "window" });
    const page = open.find((one) => new URL(one.url).pathname === url.pathname);
    return page ? page.focus() : clients.openWindow(url.href);
  })());
});

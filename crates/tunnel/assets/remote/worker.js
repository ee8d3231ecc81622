// Keeps one build of the page /remote and serves nothing else, until the person in front of it accepts another.
//
// doorward fills in the build and its list. What this script can hold: the files, against everybody; itself, against
// nobody. A browser that is given another script under this address runs that one, and no page can forbid it.
"use strict";

const BUILD = "__BUILD__";
// Path → SHA-256. The worker itself stands for its text before it was filled in.
const ASSETS = __ASSETS__;

const HOME = "/remote";
const OWN = "/remote/worker.js";
const PIN = "/remote/pin";
const CACHE = "doorward-remote";
const cacheOf = (build) => `${CACHE}-${build}`;

// The answers that are kept are made here, from bytes that were checked: of what the network sent along, nothing stays.
const HEADERS = {
  "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; manifest-src 'self'; worker-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
  "cross-origin-opener-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};
const KINDS = {
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  png: "image/png",
  svg: "image/svg+xml",
  webmanifest: "application/manifest+json",
};
const headers = (path) => ({ ...HEADERS, "content-type": KINDS[path.split(".").at(-1)] ?? "text/html; charset=utf-8" });

const hash = async (bytes) =>
  Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)), (byte) => byte.toString(16).padStart(2, "0")).join("");

// The build that was accepted. It lies beside the builds, so that it is not lost without them.
const pinned = async () => (await caches.match(PIN, { cacheName: CACHE }))?.text();

const install = async () => {
  const paths = Object.keys(ASSETS).sort();
  const list = paths.map((path) => `${ASSETS[path]}  ${path}\n`).join("");
  if (await hash(new TextEncoder().encode(list)) !== BUILD) throw new Error("The build is not what its list says");
  const files = await Promise.all(paths.filter((path) => path !== OWN).map(async (path) => {
    const answer = await fetch(path, { cache: "no-store", redirect: "error" });
    const bytes = await answer.arrayBuffer();
    if (!answer.ok || await hash(bytes) !== ASSETS[path]) throw new Error(`${path} does not fit its fingerprint`);
    return [path, new Response(bytes, { headers: headers(path) })];
  }));
  const cache = await caches.open(cacheOf(BUILD));
  for (const [path, file] of files) await cache.put(path, file);
  // The first build is taken as it comes. Every later one waits for a yes.
  if (!await pinned()) await (await caches.open(CACHE)).put(PIN, new Response(BUILD));
};

// Forgets builds that nobody runs: neither what was accepted nor what may be accepted next.
const tidy = async () => {
  const keep = [CACHE, cacheOf(BUILD), cacheOf(await pinned())];
  for (const name of await caches.keys()) if (name.startsWith(CACHE) && !keep.includes(name)) await caches.delete(name);
};

const kept = async (path) => {
  const build = await pinned();
  const file = build && await caches.match(path, { cacheName: cacheOf(build) });
  if (file) return file;
  const home = path === HOME;
  const why = home ? "This browser has lost the page that it had pinned, and runs no other in its place.\n\nClear the data of this site in the browser's settings, then open your pairing link again.\n" : "";
  return new Response(why, { status: home ? 503 : 404, headers: { ...HEADERS, "content-type": "text/plain; charset=utf-8" } });
};

addEventListener("install", (event) => event.waitUntil(install()));
// A browser activates a waiting worker by itself once no page is open. It then goes on serving the build that was accepted.
addEventListener("activate", (event) => event.waitUntil(tidy().then(() => clients.claim())));

addEventListener("fetch", (event) => {
  const { origin, pathname } = new URL(event.request.url);
  if (origin !== location.origin) return;
  if (pathname === HOME || pathname === `${HOME}/`) event.respondWith(kept(HOME));
  else if (pathname.startsWith(`${HOME}/`)) event.respondWith(kept(pathname));
});

addEventListener("message", (event) => {
  if (event.data === "build") event.ports[0]?.postMessage(BUILD);
  // The page writes the yes down before it says so here.
  if (event.data === "accepted") event.waitUntil(pinned().then((build) => build === BUILD && tidy().then(() => skipWaiting())));
});

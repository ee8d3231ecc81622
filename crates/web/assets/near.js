// Opens a lock over Bluetooth from a browser that can (Web Bluetooth): a session from the house, and the answer to the lock's
// challenge. The frames are those of docs/wire/ble-v2.md.
"use strict";
globalThis.doorwardNear = (() => {
  const RESULTS = ["done", "refused", "again", "no_time"];
  const PATIENCE = 12000;
  const encoder = new TextEncoder();
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const join = (...parts) => Uint8Array.from(parts.flatMap((part) => [...part]));
  const counted = (data) => [data.length >> 8, data.length & 255, ...data];
  const view = (value) => new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  const failed = (word) => Object.assign(new Error(word), { word });

  const sessions = new Map();
  const devices = new Map();

  // A session that is good for a while is used again: it needs no network at the lock.
  const session = async (door, ask) => {
    const held = sessions.get(door);
    if (held && Date.parse(held.until) - Date.now() > 5000) return held;
    const fresh = await ask();
    sessions.set(door, fresh);
    return fresh;
  };

  const mac = async (held, challenge, action) => {
    const key = await crypto.subtle.importKey("raw", bytes(held.key), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    const parts = ["doorward/2", held.lock].map((text) => encoder.encode(text)).concat([challenge, encoder.encode(action)]);
    return new Uint8Array(await crypto.subtle.sign("HMAC", key, join(...parts.map(counted))));
  };

  const answer = async (held, asked, told, action) => {
    const challenge = view(await asked.readValue());
    if (challenge[0] !== 2 || challenge[1] !== 5 || challenge.length < 21) throw failed("no_lock");
    if (new TextDecoder().decode(challenge.subarray(20)) !== held.lock) throw failed("other_lock");
    if (!(challenge[2] & 1)) return "no_time";
    const word = encoder.encode(action);
    const frame = join([2, 6], bytes(held.nonce), [word.length], word, await mac(held, challenge.subarray(3, 19), action));
    const result = new Promise((resolve, reject) => {
      told.addEventListener("characteristicvaluechanged", (event) => {
        const frame = view(event.target.value);
        resolve(frame.length === 3 && frame[0] === 2 && frame[1] === 10 ? RESULTS[frame[2]] : undefined);
      }, { once: true });
      setTimeout(() => reject(failed("silent")), PATIENCE);
    });
    await told.writeValueWithResponse(frame);
    return result;
  };

  const find = async (door, held) => {
    const device = devices.get(door) || await navigator.bluetooth.requestDevice({ filters: [{ services: [held.service] }] });
    devices.set(door, device);
    return device;
  };

  // What came of it: done, refused, no_time; or it throws an error with a word.
  const open = async (door, ask, action) => {
    const held = await session(door, ask);
    const device = await find(door, held);
    try {
      const server = await device.gatt.connect();
      const service = await server.getPrimaryService(held.service);
      const asked = await service.getCharacteristic(held.challenge);
      const told = await service.getCharacteristic(held.response);
      await told.startNotifications();
      for (let tries = 0; tries < 3; tries += 1) {
        const result = await answer(held, asked, told, action);
        if (result !== "again") return result;
      }
      throw failed("silent");
    } catch (error) {
      // Another lock, or one that is not there: next time it is chosen anew.
      devices.delete(door);
      throw error;
    } finally {
      device.gatt.disconnect();
    }
  };

  return { can: () => !!(navigator.bluetooth && crypto.subtle), prepare: session, forget: (door) => sessions.delete(door), open };
})();

// Passkeys: signs in with one, and adds one. Where browsers allow none, the page says so instead.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const [signIn, add] = [$("passkey-in"), $("passkey-form")];
  const from = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
  const to = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

  const post = async (form, path, body) => {
    const headers = { "content-type": "application/json", "x-live": "1" };
    if (form.dataset.csrf) headers["x-csrf-token"] = form.dataset.csrf;
    const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(said.text || "");
    return said;
  };
  const known = (list) => (list || []).map((one) => ({ ...one, id: from(one.id) }));

  const enter = async () => {
    const asked = await post(signIn, "/sign-in/passkey/begin", {});
    const { rawId, response } = await navigator.credentials.get({ publicKey: { ...asked, challenge: from(asked.challenge) } });
    return post(signIn, "/sign-in/passkey/finish", {
      id: to(rawId),
      clientDataJSON: to(response.clientDataJSON),
      authenticatorData: to(response.authenticatorData),
      signature: to(response.signature),
      userHandle: response.userHandle ? to(response.userHandle) : null,
      next: signIn.elements.next.value,
    });
  };
  const make = async () => {
    const asked = await post(add, "/settings/passkeys/begin", {});
    const { response } = await navigator.credentials.create({ publicKey: {
      ...asked,
      challenge: from(asked.challenge),
      user: { ...asked.user, id: from(asked.user.id) },
      excludeCredentials: known(asked.excludeCredentials),
    } });
    return post(add, "/settings/passkeys/finish", {
      name: add.elements.name.value,
      clientDataJSON: to(response.clientDataJSON),
      attestationObject: to(response.attestationObject),
      transports: response.getTransports ? response.getTransports() : [],
    });
  };

  const hear = (form, work) => form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    const note = form.querySelector("[role='alert']");
    note.hidden = true;
    try {
      location.assign((await work()).to);
    } catch (error) {
      const words = form.dataset.words.split("|");
      const ours = { NotAllowedError: words[0], AbortError: words[0], InvalidStateError: words[1] }[error.name];
      note.querySelector("span").textContent = ours || (error.name === "Error" && error.message) || words[2];
      note.hidden = false;
      button.removeAttribute("aria-busy");
    }
  });

  // An address made of numbers is no name that a passkey could be for.
  const named = !/^[\d.]+$|:/.test(location.hostname.replace(/^\[|\]$/g, ""));
  const able = isSecureContext && named && "PublicKeyCredential" in window;
  if (signIn) signIn.hidden = !able;
  if (add) [$("passkey-new").hidden, $("passkey-nowhere").hidden] = [!able, able];
  hear(signIn, enter);
  hear(add, make);
})();

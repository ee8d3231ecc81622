"""A client of doorward's tunnel, version 1 of the wire. Needs `cryptography`.

    tunnel = Tunnel("https://doors.example.org", open("phone.key").read())
    for door in tunnel.doors():
        print(door["name"], door["state"])
    print(tunnel.act("unlock", "front_door"))

    tunnel.publish("home/light", "on", qos=1)
    for event in tunnel.subscribe("home/#"):
        print(event["topic"], event["payload"])

A body is base64 of nonce (12 bytes), AES-256-GCM ciphertext and tag (16 bytes) of a JSON object. Each request names the
time at which it was made, and counts once: what opens a door must be younger than 10 seconds, everything else younger
than a minute. So this machine's clock must be right, and a request that failed is made anew rather than sent again.
"""

import base64
import json
import os
import time
import urllib.error
import urllib.request
import uuid

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["Tunnel", "TunnelError", "UnknownKey"]


class TunnelError(Exception):
    """What was asked for was not done. `status` says why, as HTTP does."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class UnknownKey(Exception):
    """No key there fits: it was revoked or rotated, or belongs to another house."""


class Tunnel:
    def __init__(self, url, key, timeout=75):
        """`key` is the secret of 64 hexadecimal digits."""
        self.url = url.rstrip("/")
        self.cipher = AESGCM(bytes.fromhex(key.strip()))
        self.timeout = timeout

    # What a phone asks for

    def doors(self):
        """The doors that this key may use."""
        return self.call(service="doors", action="list")["doors"]

    def door(self, door):
        """One door, as it stands."""
        return self.call(service="doors", action="status", door=door)

    def act(self, action, door):
        """Opens, locks or unlocks. `state` in the answer is `confirmed` only when somebody saw the door do it."""
        return self.call(service="doors", action=action, door=door, id=str(uuid.uuid4()))

    def publish(self, topic, message, **more):
        """Publishes at the house's broker; `qos` and `retain` as usual."""
        return json.loads(self._ask("/mqtt/publish", dict(more, topic=topic, message=message)))

    def jeedom(self, method, **params):
        """Calls Jeedom's API, and gives its result."""
        answer = self.call(service="jeedom", jsonrpc=method, params=params)
        if "error" in answer:
            raise TunnelError(200, answer["error"]["message"])
        return answer["result"]

    def request(self, method, url, **more):
        """Sends a request to a server that this key may reach; `headers`, `body` and `timeout` as in the wire format."""
        return self.call(method=method, url=url, **more)

    def subscribe(self, topic, **more):
        """What is published, as it comes. Ends with an error when the stream does; come back then."""
        with self._post("/mqtt/subscribe", dict(more, topic=topic), timeout=60) as answer:
            for line in answer:
                if not line.startswith(b"data: "):
                    continue  # a comment that keeps the connection, or the end of an event
                event = self._open(line[6:])
                if event["type"] == "message":
                    yield event
                elif event["type"] in ("error", "disconnected"):
                    raise TunnelError(503 if event["type"] == "disconnected" else 403, event["message"])

    def health(self):
        """The version that is there; needs no key."""
        with urllib.request.urlopen(self.url + "/health", timeout=self.timeout) as answer:
            return json.load(answer)["version"]

    # How it is said

    def call(self, **fields):
        """Asks for something, and gives what came back."""
        return self._ask("/gateway", fields)

    def _ask(self, path, fields):
        with self._post(path, fields, self.timeout) as answer:
            plain = self._open(answer.read())
        status, body = plain["status"], plain["body"]
        if status >= 400:
            raise TunnelError(status, _reason(body))
        return body

    def _post(self, path, fields, timeout):
        body = self._seal(dict(fields, timestamp=time.time()))
        request = urllib.request.Request(self.url + path, body, {"Content-Type": "application/octet-stream"})
        try:
            return urllib.request.urlopen(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            if error.code == 400 and path == "/mqtt/subscribe":
                raise UnknownKey from None
            raise TunnelError(error.code, error.reason) from None

    def _seal(self, fields):
        nonce = os.urandom(12)
        return base64.b64encode(nonce + self.cipher.encrypt(nonce, json.dumps(fields).encode(), None))

    def _open(self, body):
        sealed = base64.b64decode(body)
        try:
            return json.loads(self.cipher.decrypt(sealed[:12], sealed[12:], None))
        except InvalidTag:
            raise UnknownKey from None


def _reason(body):
    """Errors are JSON inside of a text, or JSON."""
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except ValueError:
            return body
    if isinstance(body, dict):
        return body.get("error") or body.get("detail") or json.dumps(body)
    return str(body)

"""Every route of the tunnel, by the client in docs/clients and by hand; what is published is seen by paho-mqtt.

    tunnel.py routes URL KEY MQTT_PORT MQTT_PASSWORD UPSTREAM_URL
    tunnel.py seal KEY JSON          prints a body
    tunnel.py open KEY BODY          prints what is inside
"""

import base64
import json
import os
import queue
import sys
import threading
import urllib.request

import paho.mqtt.client as mqtt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from doorward_tunnel import Tunnel, TunnelError, UnknownKey


def main():
    what, *rest = sys.argv[1:]
    {"routes": routes, "seal": seal, "open": unseal}[what](*rest)


def seal(key, text):
    nonce = os.urandom(12)
    print(base64.b64encode(nonce + AESGCM(bytes.fromhex(key)).encrypt(nonce, text.encode(), None)).decode())


def unseal(key, body):
    sealed = base64.b64decode(body)
    print(AESGCM(bytes.fromhex(key)).decrypt(sealed[:12], sealed[12:], None).decode())


def routes(url, key, port, password, upstream):
    tunnel = Tunnel(url, key)
    assert tunnel.health()
    assert urllib.request.urlopen(url + "/health").headers["content-type"] == "application/json"

    # Doors
    doors = {door["id"]: door for door in tunnel.doors()}
    assert doors["front_door"]["state"] == "locked", doors
    done = tunnel.act("unlock", "front_door")
    assert done["state"] == "confirmed", done
    assert tunnel.door("front_door")["state"] == "unlocked"
    refused(404, tunnel.act, "unlock", "nowhere")

    # MQTT: what is published is at the broker, and what is published there comes on a stream
    heard = listen(int(port), password)
    assert tunnel.publish("home/temperature", "22.5", qos=1, retain=True) == {
        "success": True,
        "topic": "home/temperature",
        "message": "Published successfully",
    }
    assert heard.get(timeout=10) == ("home/temperature", b"22.5", 1)
    assert tunnel.call(service="mqtt", topic="maison/porte", message="ouverte ✓")
    assert heard.get(timeout=10) == ("maison/porte", "ouverte ✓".encode(), 0)
    refused(400, tunnel.call, service="mqtt", message="no topic")
    refused(403, tunnel.publish, "doorward/door/front_door/set", "UNLOCK")

    stream = tunnel.subscribe("home/#", qos=1)
    kept = next(stream)
    assert (kept["topic"], kept["payload"], kept["retain"]) == ("home/temperature", 22.5, True), kept
    tunnel.publish("home/light", json.dumps({"on": True}))
    event = next(stream)
    assert (event["topic"], event["payload"], event["retain"]) == ("home/light", {"on": True}, False), event

    # Jeedom and HTTP
    assert tunnel.jeedom("ping") == "pong"
    tunnel.jeedom("cmd::execCmd", id=12, options={"slider": 55})
    assert tunnel.jeedom("cmd::byId", id=11)["value"] == 55
    refused(200, tunnel.jeedom, "no::such")
    assert tunnel.request("GET", upstream + "/sim/state")["levels"]["Lamp"] == 55
    refused(403, tunnel.request, "GET", "http://169.254.169.254/latest/meta-data/")
    refused(403, tunnel.request, "GET", url + "/health")

    # By hand: what the original's clients see
    by_hand(url, key)
    try:
        Tunnel(url, "00" * 32).doors()
        raise AssertionError("a key that nobody has was taken")
    except UnknownKey:
        pass
    try:
        next(Tunnel(url, "00" * 32).subscribe("#"))
        raise AssertionError("a key that nobody has was taken")
    except UnknownKey:
        pass
    print("every route")


def by_hand(url, key):
    cipher = AESGCM(bytes.fromhex(key))

    def post(path, fields):
        nonce = os.urandom(12)
        body = base64.b64encode(nonce + cipher.encrypt(nonce, json.dumps(fields).encode(), None))
        request = urllib.request.Request(url + path, body, {"Content-Type": "application/octet-stream"})
        with urllib.request.urlopen(request) as answer:
            sealed = base64.b64decode(answer.read())
            try:
                return answer.status, json.loads(cipher.decrypt(sealed[:12], sealed[12:], None))
            except InvalidTag:
                return answer.status, None

    status, old = post("/gateway", {"service": "doors", "action": "list", "timestamp": 1})
    assert (status, old["status"], old["body"]) == (200, 403, '{"error": "Request expired"}'), old
    status, old = post("/mqtt/publish", {"topic": "a", "message": "b"})
    assert (status, old["status"], old["body"]) == (200, 403, {"error": "Request expired"}), old


def listen(port, password):
    heard, ready = queue.Queue(), threading.Event()
    client = mqtt.Client("paho")
    client.username_pw_set("paho", password)
    client.on_message = lambda _, __, message: heard.put((message.topic, message.payload, message.qos))
    client.on_subscribe = lambda *_: ready.set()
    client.on_connect = lambda *_: client.subscribe([("home/#", 1), ("maison/#", 1)])
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert ready.wait(10), "paho did not get in"
    return heard


def refused(status, act, *args, **fields):
    try:
        given = act(*args, **fields)
    except TunnelError as error:
        assert error.status == status, (error.status, error)
        return
    raise AssertionError(f"not refused: {given}")


main()

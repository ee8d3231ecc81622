#!/usr/bin/env python3
"""Writes ble-v2.json: every byte from fixed seeds, made without the Rust code (HPKE by hand, as in vectors.py)."""

import base64
import hashlib
import hmac
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from vectors import Sender, derive_key_pair

NOW = 1795352253


def lp1(value):
    return bytes([len(value)]) + value


def lp2(value):
    return len(value).to_bytes(2, "big") + value


def u64(value):
    return value.to_bytes(8, "big")


class Signer:
    def __init__(self, seed):
        self.seed, self.key = seed, Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, domain, message):
        return self.key.sign(b"doorward/2 " + domain + b"\0" + message)


def aead(sender, random):
    secret = sender.export(b"doorward/2 answer\0" + random, 28)
    return AESGCM(secret[:16]), secret[16:]


def request(identity, sealing, challenge, guest, seed, lock, invite, client_time, answers):
    head = b"\x02\x02" + hashlib.sha256(identity).digest()[:4]
    ephemeral, enc = derive_key_pair(seed)
    sender = Sender(1, sealing, ephemeral, b"doorward/2 request\0" + identity + challenge)
    plain = guest.public + u64(client_time) + lp1(lock) + lp1(invite)
    signature = guest.sign(b"request", identity + challenge + enc + plain)
    sealed = head + enc + sender.seal(plain + signature, head)
    assert len(sealed) <= 244
    out = []
    for name, random, fields, answer in answers:
        key, nonce = aead(sender, random)
        frame = b"\x02\x03" + random + key.encrypt(nonce, answer, b"\x02\x03")
        assert len(frame) <= 244
        out.append({"name": name, **fields, "random": random.hex(), "plain": answer.hex(), "frame": frame.hex()})
    return {
        "challenge": challenge.hex(),
        "hello": (b"\x02\x01" + head[2:] + challenge).hex(),
        "ephemeral_seed": seed.hex(),
        "lock_id": lock.decode(),
        "invite": invite.decode(),
        "client_time": client_time,
        "plain": (plain + signature).hex(),
        "frame": sealed.hex(),
        "answers": out,
    }


def session(issuer, lock_id, lock, seed, plain):
    context = b"doorward/2 session\0" + lp1(lock_id) + lock
    ephemeral, enc = derive_key_pair(seed)
    frame = b"\x02\x04" + enc + Sender(1, lock, ephemeral, context).seal(plain, b"\x02\x04")
    frame += issuer.sign(b"session", lp1(lock_id) + lock + frame)
    assert len(frame) <= 244
    return {"lock_id": lock_id.decode(), "ephemeral_seed": seed.hex(), "plain": plain.hex(), "frame": frame.hex()}


def response(lock_id, key, nonce, challenge, action):
    parts = lp2(b"doorward/2") + lp2(lock_id) + lp2(challenge) + lp2(action)
    frame = b"\x02\x06" + nonce + lp1(action) + hmac.digest(key, parts, "sha256")
    return {"action": action.decode(), "mac_input": parts.hex(), "frame": frame.hex()}


def a_pass(issuer, key_id, guest, serial, epoch, window, actions, doors, zone, hours):
    body = b"\x02\x07" + key_id + serial + epoch.to_bytes(4, "big") + guest.public + u64(window[0]) + u64(window[1])
    body += bytes([actions, len(doors)]) + b"".join(map(lp1, doors)) + lp1(zone) + bytes([len(hours)])
    for days, start, end in hours:
        body += bytes([days]) + start.to_bytes(2, "big") + end.to_bytes(2, "big")
    frame = body + issuer.sign(b"pass", body)
    assert len(frame) <= 542
    pieces = [frame[at:at + 240] for at in range(0, len(frame), 240)]
    return frame, {
        "serial": serial.hex(),
        "epoch": epoch,
        "not_before": window[0],
        "not_after": window[1],
        "actions": actions,
        "doors": [door.decode() for door in doors],
        "zone": zone.decode(),
        "hours": [list(hour) for hour in hours],
        "frame": frame.hex(),
        "parts": [(bytes([2, 9, at, len(pieces)]) + piece).hex() for at, piece in enumerate(pieces)],
    }


def proof(guest, frame, lock_id, challenge, action):
    body = lp1(lock_id) + challenge + lp1(action) + hashlib.sha256(frame).digest()
    return (b"\x02\x08" + frame[6:14] + lp1(action) + guest.sign(b"proof", body)).hex()


def advertisement(key, nonce, slot):
    text = base64.urlsafe_b64encode(nonce)
    token = hmac.digest(key, text + str(slot).encode(), "sha256")[:16]
    k_id = hmac.digest(key, lp2(b"doorward/2 hint"), "sha256")
    hint = hmac.digest(k_id, u64(slot), "sha256")[:4]
    return {"slot": slot, "token": token.hex(), "hint": hint.hex(), "data": (token + b"\x02\0" + hint + b"\0\0").hex()}


def order(issuer, kind, lock_id, fields):
    text = json.dumps(fields, separators=(",", ":"))
    signed = b"doorward/2 %s\0Ed25519\0%s\0" % (kind, lock_id) + text.encode()
    signature = base64.b64encode(issuer.key.sign(signed)).decode()
    message = json.dumps({**fields, "alg": "Ed25519", "signature": signature}, separators=(",", ":"))
    return {"lock_id": lock_id.decode(), "signed_bytes": signed.hex(), "message": message}


def main():
    issuer, guest = Signer(bytes([0x11]) * 32), Signer(bytes([0x33]) * 32)
    issuer_seed, lock_seed = bytes([0x22]) * 32, bytes([0x44]) * 32
    sealing, lock = derive_key_pair(issuer_seed)[1], derive_key_pair(lock_seed)[1]
    identity = issuer.public + sealing
    key_id, fingerprint = hashlib.sha256(identity).digest()[:4], hashlib.sha256(guest.public).digest()[:10]
    key, nonce, challenge = bytes(range(0x80, 0xA0)), bytes(range(8)), bytes(range(0x50, 0x60))
    lock_id = b"lock_01"
    given = {"session_key": key.hex(), "nonce": nonce.hex(), "expiry": NOW + 300, "clock_offset": -40,
             "slot_seconds": 3, "ways": 6}
    tail = u64(NOW + 300) + (-40).to_bytes(4, "big", signed=True) + bytes([3, 6])
    ok = b"\0" + key + nonce + tail
    asked = [
        request(identity, sealing, challenge, guest, bytes([1]) * 32, lock_id, b"", NOW - 40, [
            ("session", bytes(range(0xA0, 0xB0)), given, ok),
            ("refused", bytes(range(0xB0, 0xC0)), {"refused": "no_grant"}, b"\x03")]),
        request(identity, sealing, challenge, guest, bytes([2]) * 32, b"L" * 40, b"i" * 40, 0, []),
    ]
    week, weekend = (0b0011111, 7 * 60, 18 * 60), (0b1100000, 22 * 60, 2 * 60)
    short, first = a_pass(issuer, key_id, guest, bytes(range(0x60, 0x68)), 7, (NOW - 60, NOW + 86400), 1, [lock_id], b"", [])
    long, second = a_pass(issuer, key_id, guest, bytes(range(0x68, 0x70)), 8, (NOW, NOW + 7 * 86400), 7,
                          [lock_id] + [bytes([0x61 + at]) * 40 for at in range(7)], b"Europe/Berlin", [week, weekend])
    first["proof"] = proof(guest, short, lock_id, challenge, b"open")
    second["proof"] = proof(guest, long, lock_id, challenge, b"unlock")
    vectors = {
        "issuer": {"signing_seed": issuer.seed.hex(), "sealing_seed": issuer_seed.hex(), "identity": identity.hex(),
                   "key_id": key_id.hex()},
        "guest": {"seed": guest.seed.hex(), "public": guest.public.hex(), "fingerprint": fingerprint.hex()},
        "lock": {"seed": lock_seed.hex(), "public": lock.hex()},
        "requests": asked,
        "session": {**session(issuer, lock_id, lock, bytes([3]) * 32, key + nonce + tail + fingerprint), **given},
        "challenge": {"lock_id": lock_id.decode(), "challenge": challenge.hex(), "knows_time": True, "takes_passes": True,
                      "frame": (b"\x02\x05\x03" + challenge + lp1(lock_id)).hex()},
        "responses": [response(lock_id, key, nonce, challenge, action) for action in (b"open", b"unlock", b"lock")],
        "passes": [first, second],
        "advertisements": [advertisement(key, nonce, slot) for slot in (0, 1, 598450751, 598450852)],
        "orders": {
            "command": order(issuer, b"command", lock_id, {"id": "c-1 \u00e9", "action": "open", "not_after": NOW + 10}),
            "revoked": order(issuer, b"revoked", lock_id, {"seq": 4, "revoked": [
                {"nonce": base64.urlsafe_b64encode(nonce).decode(), "expiry": NOW + 300}], "epoch": 8}),
        },
    }
    with open("ble-v2.json", "w") as file:
        json.dump(vectors, file, indent=2)
        file.write("\n")


def check():
    """HPKE by hand agrees with RFC 9180, A.1.1: the first sealed message and an exported secret."""
    hexes = bytes.fromhex
    ephemeral = derive_key_pair(hexes("7268600d403fce431561aef583ee1613527cff655c1343f29812e66706df3234"))[0]
    recipient = derive_key_pair(hexes("6db9df30aa07dd42ee5e8181afdb977e538f5e1fec8a06223f33f7013e525037"))[1]
    sender = Sender(1, recipient, ephemeral, hexes("4f6465206f6e2061204772656369616e2055726e"))
    sealed = sender.seal(hexes("4265617574792069732074727574682c20747275746820626561757479"), b"Count-0")
    assert sealed.hex() == "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a"
    assert sender.export(b"", 32).hex() == "3853fe2b4035195a573ffc53856e77058e15d9ea064de3e59f4961d0095250ee"


if __name__ == "__main__":
    check()
    main()

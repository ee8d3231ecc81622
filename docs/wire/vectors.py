#!/usr/bin/env python3
"""Writes tunnel-v2.json: every byte from fixed seeds, made without the Rust code (RFC 9180, 9292, 9458 by hand)."""

import base64
import hashlib
import hmac
import json

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

AEADS = {1: (16, AESGCM), 3: (32, ChaCha20Poly1305)}
CONTEXT = b"doorward tunnel v2 request\0"


def hkdf_extract(salt, ikm):
    return hmac.digest(salt or bytes(32), ikm, "sha256")


def hkdf_expand(prk, info, length):
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.digest(prk, block + info + bytes([counter]), "sha256")
        out, counter = out + block, counter + 1
    return out[:length]


def labeled_extract(suite, salt, label, ikm):
    return hkdf_extract(salt, b"HPKE-v1" + suite + label + ikm)


def labeled_expand(suite, prk, label, info, length):
    return hkdf_expand(prk, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info, length)


KEM = b"KEM" + (0x20).to_bytes(2, "big")


def derive_key_pair(ikm):
    secret = labeled_expand(KEM, labeled_extract(KEM, b"", b"dkp_prk", ikm), b"sk", b"", 32)
    return secret, public(secret)


def public(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


class Sender:
    """SetupBaseS with a given ephemeral key."""

    def __init__(self, aead, recipient, ephemeral, info):
        self.schedule(aead, exchanged(ephemeral, recipient), public(ephemeral), recipient, info)

    def schedule(self, aead, dh, enc, recipient, info):
        self.nk, cipher = AEADS[aead]
        self.enc = enc
        prk = labeled_extract(KEM, b"", b"eae_prk", dh)
        shared = labeled_expand(KEM, prk, b"shared_secret", self.enc + recipient, 32)
        self.suite = b"HPKE" + (0x20).to_bytes(2, "big") + (1).to_bytes(2, "big") + aead.to_bytes(2, "big")
        context = b"\0" + labeled_extract(self.suite, b"", b"psk_id_hash", b"")
        context += labeled_extract(self.suite, b"", b"info_hash", info)
        secret = labeled_extract(self.suite, shared, b"secret", b"")
        self.key = cipher(labeled_expand(self.suite, secret, b"key", context, self.nk))
        self.base = labeled_expand(self.suite, secret, b"base_nonce", context, 12)
        self.exporter = labeled_expand(self.suite, secret, b"exp", context, 32)
        self.sequence = 0

    def seal(self, plain, aad=b""):
        sealed = self.key.encrypt(xor(self.base, self.sequence), plain, aad)
        self.sequence += 1
        return sealed

    def export(self, label, length):
        return labeled_expand(self.suite, self.exporter, b"sec", label, length)


class Receiver(Sender):
    """SetupBaseR."""

    def __init__(self, aead, private, enc, info):
        self.schedule(aead, exchanged(private, enc), enc, public(private), info)

    def open(self, sealed, aad=b""):
        plain = self.key.decrypt(xor(self.base, self.sequence), sealed, aad)
        self.sequence += 1
        return plain


def exchanged(private, peer):
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(peer))


def xor(nonce, counter):
    return bytes(a ^ b for a, b in zip(nonce, counter.to_bytes(12, "big")))


def varint(value):
    for bits, size, mark in ((6, 1, 0), (14, 2, 1), (30, 4, 2), (62, 8, 3)):
        if value < 1 << bits:
            return (value | mark << (8 * size - 2)).to_bytes(size, "big")
    raise ValueError(value)


def text(value):
    return varint(len(value)) + value


def bhttp_request(method, path, authorization, body):
    fields = text(b"authorization") + text(authorization) + text(b"content-type") + text(b"application/json")
    return b"\0" + text(method) + text(b"https") + text(b"") + text(path) + text(fields) + text(body) + text(b"")


def answer_key(aead, sender, label, nonce):
    nk, cipher = AEADS[aead]
    prk = hkdf_extract(sender.enc + nonce, sender.export(label, nk))
    return cipher(hkdf_expand(prk, b"key", nk)), hkdf_expand(prk, b"nonce", 12)


def exchange(name, aead, chunked, recipient, client, ephemeral_seed, path, body, answer):
    header = b"\x01" + (0x20).to_bytes(2, "big") + (1).to_bytes(2, "big") + aead.to_bytes(2, "big")
    kind = b"message/bhttp chunked " if chunked else b"message/bhttp "
    ephemeral, enc = derive_key_pair(ephemeral_seed)
    sender = Sender(aead, recipient, ephemeral, kind + b"request\0" + header)
    digest = hashlib.sha256(body).digest()
    mac_input = CONTEXT
    for part in (enc, b"POST", path):
        mac_input += len(part).to_bytes(2, "big") + part
    mac_input += digest
    mac = hmac.digest(client["key"], mac_input, "sha256")
    authorization = b"Doorward-Key " + client["key_id"].encode() + b":" + base64.b64encode(mac)
    plain = bhttp_request(b"POST", path, authorization, body)
    sealed = header + enc
    response_nonce = bytes(range(0xA0, 0xA0 + AEADS[aead][0]))
    key, nonce = answer_key(aead, sender, kind + b"response", response_nonce)
    out = response_nonce
    if chunked:
        for piece in (plain[:100], plain[100:]):
            chunk = sender.seal(piece)
            sealed += varint(len(chunk)) + chunk
        sealed += b"\0" + sender.seal(b"", b"final")
        head = b"\x03" + varint(200) + text(b"content-type") + text(b"text/event-stream") + b"\0"
        pieces = [head] + [text(event) for event in answer] + [b"\0\0"]
        for counter, piece in enumerate(pieces):
            chunk = key.encrypt(xor(nonce, counter), piece, b"")
            out += varint(len(chunk)) + chunk
        out += b"\0" + key.encrypt(xor(nonce, len(pieces)), b"", b"final")
        answer_plain = b"".join(pieces)
    else:
        sealed += sender.seal(plain)
        fields = text(b"content-type") + text(b"application/json")
        answer_plain = b"\x01" + varint(200) + text(fields) + text(answer[0]) + text(b"")
        out += key.encrypt(nonce, answer_plain, b"")
    return {
        "name": name,
        "request_type": f"message/ohttp-{'chunked-' if chunked else ''}req",
        "response_type": f"message/ohttp-{'chunked-' if chunked else ''}res",
        "aead": aead,
        "ephemeral_seed": ephemeral_seed.hex(),
        "ephemeral_private_key": ephemeral.hex(),
        "enc": enc.hex(),
        "replay_nonce": hashlib.sha256(enc).digest()[:12].hex(),
        "method": "POST",
        "path": path.decode(),
        "body": body.decode(),
        "body_sha256": digest.hex(),
        "mac_input": mac_input.hex(),
        "mac": mac.hex(),
        "authorization": authorization.decode(),
        "request_bhttp": plain.hex(),
        "request": sealed.hex(),
        "response_nonce": response_nonce.hex(),
        "response_status": 200,
        "response_body": b"".join(answer).decode(),
        "response_bhttp": answer_plain.hex(),
        "response": out.hex(),
    }


def main():
    seed = bytes(range(0x20, 0x40))
    private, recipient = derive_key_pair(seed)
    config = b"\x01" + (0x20).to_bytes(2, "big") + recipient + (8).to_bytes(2, "big") + bytes([0, 1, 0, 1, 0, 1, 0, 3])
    keys = len(config).to_bytes(2, "big") + config
    client = {"key_id": "anna", "key": bytes(range(0x80, 0xA0))}
    doors = b'{"service":"doors","action":"list","timestamp":1764197216}'
    listed = b'{"status":200,"body":{"doors":[]},"timestamp":1764197216}'
    topic = b'{"topic":"home/#","timestamp":1764197216}'
    events = [
        b'data: {"type":"connected","topic":"home/#","message":"Successfully connected and subscribed to home/#"}\n\n',
        b": keepalive\n\n",
        b'data: {"type":"disconnected","message":"The broker is gone","timestamp":1764197217}\n\n',
    ]
    make = lambda name, aead, chunked, number, *rest: exchange(
        name, aead, chunked, recipient, client, bytes([number]) * 32, *rest)
    vectors = {
        "seed": seed.hex(),
        "private_key": private.hex(),
        "public_key": recipient.hex(),
        "ohttp_keys": keys.hex(),
        "pin": hashlib.sha256(keys).hexdigest(),
        "client": {"key_id": client["key_id"], "key": client["key"].hex()},
        "exchanges": [
            make("whole, AES-128-GCM", 1, False, 1, b"/gateway", doors, [listed]),
            make("whole, ChaCha20-Poly1305", 3, False, 2, b"/gateway", doors, [listed]),
            make("chunked, AES-128-GCM", 1, True, 3, b"/mqtt/subscribe", topic, events),
            make("chunked, ChaCha20-Poly1305", 3, True, 4, b"/mqtt/subscribe", topic, events),
        ],
    }
    with open("tunnel-v2.json", "w") as file:
        json.dump(vectors, file, indent=2)
        file.write("\n")


def check():
    """So that what stands here agrees with more than itself: examples of RFC 9180, A.1, and of the draft, appendix A."""
    hexes = bytes.fromhex
    pair = derive_key_pair(hexes("6db9df30aa07dd42ee5e8181afdb977e538f5e1fec8a06223f33f7013e525037"))
    assert pair[1].hex() == "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d"
    recipient = public(hexes("1c190d72acdbe4dbc69e680503bb781a932c70a12c8f3754434c67d8640d8698"))
    ephemeral = hexes("b26d565f3f875ed480d1abced3d665159650c99174fd0b124ac4bda0c64ae324")
    message = hexes("00034745540568747470730b6578616d706c652e636f6d012f")
    sender = Sender(1, recipient, ephemeral, b"message/bhttp chunked request\0" + hexes("01002000010001"))
    sealed = [sender.seal(message[:12]), sender.seal(message[12:]), sender.seal(b"", b"final")]
    assert sealed[0].hex() == "2ad24942d4d692563012f2980c8fef437a336b9b2fc938ef77a5834f"
    assert sealed[1].hex() == "2e33d8fd25577afe31bd1c79d094f76b6250ae6549b473ecd950501311"
    assert sealed[2].hex() == "1c6c1395d0ef7c1022297966307b8a7f"
    nonce = hexes("bcce7f4cb921309ba5d62edf1769ef09")
    key, base = answer_key(1, sender, b"message/bhttp chunked response", nonce)
    assert base.hex() == "fead854635d2d5527d64f546"
    assert key.encrypt(xor(base, 0), b"\x01", b"").hex() == "79bf1cc87fa0e2c02de4546945aa3d1e48"
    assert key.encrypt(xor(base, 2), b"", b"final").hex() == "ed9d8a796617a5b27265f4d73247f639"


if __name__ == "__main__":
    check()
    main()

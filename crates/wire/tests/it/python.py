"""The other side of a lock, with Debian's `cryptography`: reads what doorward issues, and issues what doorward reads.

Takes one JSON object on its input, whose `what` says which function; bytes are hex in version 2, base64 in version 1.
"""

import base64
import hashlib
import hmac
import json
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

import ble_vectors as v2
from vectors import Receiver, Sender, derive_key_pair

PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.MAX_LENGTH)
OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)


def private(pem):
    return serialization.load_pem_private_key(pem.encode(), None)


def public(pem):
    return serialization.load_pem_public_key(pem.encode())


def canonical(message):
    order = ("device_id", "session_key", "expiry", "nonce", "phone_mac", "clock_offset")
    return json.dumps({name: message[name] for name in order if name in message}, separators=(",", ":")).encode()


def keys_1(_):
    """Keys in the forms that are on disks, one with an odd length."""
    key, odd = rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 2056)
    short = rsa.generate_private_key(65537, 1024)
    forms = serialization.PrivateFormat
    pem = lambda key, form: key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
    spki = lambda key: key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    return {"pkcs8": pem(key, forms.PKCS8), "pkcs1": pem(key, forms.TraditionalOpenSSL), "public": spki(key),
            "odd": pem(odd, forms.PKCS8), "short": pem(short, forms.PKCS8), "short_public": spki(short)}


def open_1(given):
    """As the original's lock and its guest do."""
    message, response, issuer = json.loads(given["message"]), json.loads(given["response"]), public(given["issuer"])
    issuer.verify(base64.b64decode(message["signature"]), canonical(message), PSS, hashes.SHA256())
    key = private(given["lock"]).decrypt(base64.b64decode(message["session_key"]), OAEP)
    plain = private(given["guest"]).decrypt(base64.b64decode(response["payload"]), OAEP)
    issuer.verify(base64.b64decode(response["signature"]), plain, PSS, hashes.SHA256())
    return {"session_key": key.hex(), "guest_json": plain.decode(), "device_id": message["device_id"]}


def issue_1(given):
    """As the original's backend does."""
    issuer, key = private(given["issuer"]), bytes(range(32))
    sealed = lambda pem, plain: base64.b64encode(public(pem).encrypt(plain, OAEP)).decode()
    signed = lambda plain: base64.b64encode(issuer.sign(plain, PSS, hashes.SHA256())).decode()
    tail = {"expiry": 2000000000, "nonce": base64.urlsafe_b64encode(bytes(range(0xF8, 0x100))).decode(),
            "phone_mac": "AA:BB:CC:DD:EE:FF", "clock_offset": -7}
    message = {"device_id": given["device_id"], "session_key": sealed(given["lock"], key), **tail}
    message["signature"] = signed(canonical(message))
    plain = json.dumps({"session_key": base64.b64encode(key).decode(), **tail}, separators=(",", ":")).encode()
    response = {"status": "ok", "client_id": "guest", "payload": sealed(given["guest"], plain), "signature": signed(plain),
                "encryption": {"algorithm": "RSA-OAEP", "hash": "SHA256"}}
    return {"message": json.dumps(message, indent=1, sort_keys=True), "response": json.dumps(response)}


def order(given):
    """An order that is signed with RSA."""
    message = json.loads(given["message"])
    signature, alg = base64.b64decode(message.pop("signature")), message.pop("alg")
    text = json.dumps(message, separators=(",", ":")).encode()
    signed = b"\0".join([b"doorward/2 command", alg.encode(), given["lock_id"].encode(), text])
    public(given["issuer"]).verify(signature, signed, PSS, hashes.SHA256())
    return {"alg": alg, "action": message["action"]}


def ed25519(key, signature, domain, message):
    Ed25519PublicKey.from_public_bytes(key).verify(signature, b"doorward/2 " + domain + b"\0" + message)


def open_2(given):
    """An issuer opens a request and answers, a lock opens a session and checks a response, a pass and its proof."""
    raw = {name: bytes.fromhex(value) for name, value in given.items() if name != "what"}
    identity, challenge = raw["identity"], raw["challenge"]
    frame = raw["request"]
    sealing, enc = derive_key_pair(raw["sealing_seed"])[0], frame[6:38]
    context = Receiver(1, sealing, enc, b"doorward/2 request\0" + identity + challenge)
    plain = context.open(frame[38:], frame[:6])
    guest, said, signature = plain[:32], plain[:-64], plain[-64:]
    ed25519(guest, signature, b"request", identity + challenge + enc + said)
    key, nonce = v2.aead(context, bytes(16))
    answer = b"\x02\x03" + bytes(16) + key.encrypt(nonce, b"\x03", b"\x02\x03")

    frame, lock_id = raw["session"], raw["lock_id"]
    lock, lock_public = derive_key_pair(raw["lock_seed"])
    where = v2.lp1(lock_id) + lock_public
    ed25519(identity[:32], frame[-64:], b"session", where + frame[:-64])
    session = Receiver(1, lock, frame[2:34], b"doorward/2 session\0" + where).open(frame[34:-64], b"\x02\x04")

    frame = raw["response"]
    parts = v2.lp2(b"doorward/2") + v2.lp2(lock_id) + v2.lp2(challenge) + v2.lp2(b"open")
    assert hmac.compare_digest(frame[-32:], hmac.digest(session[:32], parts, "sha256"))
    assert frame[:-32] == b"\x02\x06" + session[32:40] + v2.lp1(b"open")

    frame, proof = raw["pass"], raw["proof"]
    ed25519(identity[:32], frame[-64:], b"pass", frame[:-64])
    ed25519(frame[18:50], proof[-64:], b"proof", v2.lp1(lock_id) + challenge + v2.lp1(b"open") + hashlib.sha256(frame).digest())
    return {"guest": guest.hex(), "lock_id": plain[41:41 + plain[40]].decode(), "answer": answer.hex(), "session": session.hex()}


def issue_2(given):
    """A guest asks; an issuer makes a session for a lock."""
    raw = {name: bytes.fromhex(value) for name, value in given.items() if name != "what"}
    identity, lock_id, lock = raw["identity"], raw["lock_id"], raw["lock"]
    guest, issuer = v2.Signer(raw["guest_seed"]), v2.Signer(raw["signing_seed"])
    asked = v2.request(identity, identity[32:], raw["challenge"], guest, raw["seed"], lock_id, b"abc", 7, [])
    plain = bytes(range(32)) + bytes(8) + v2.u64(2000000000) + bytes(4) + bytes([3, 4]) + bytes(10)
    return {"request": asked["frame"], "session": v2.session(issuer, lock_id, lock, raw["seed"], plain)["frame"]}


def answer_2(given):
    """The guest opens the answer to what `issue_2` asked."""
    raw = {name: bytes.fromhex(value) for name, value in given.items() if name != "what"}
    info = b"doorward/2 request\0" + raw["identity"] + raw["challenge"]
    sender, frame = Sender(1, raw["identity"][32:], derive_key_pair(raw["seed"])[0], info), raw["answer"]
    key, nonce = v2.aead(sender, frame[2:18])
    return {"plain": key.decrypt(nonce, frame[18:], b"\x02\x03").hex()}


asked = json.load(sys.stdin)
does = {f.__name__: f for f in (keys_1, open_1, issue_1, order, open_2, issue_2, answer_2)}
json.dump(does[asked["what"]](asked), sys.stdout)

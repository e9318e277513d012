#!/usr/bin/env python3
"""A second reader of tokend vaults and backups, written from docs/vault-format.md
alone. It needs Python 3.9 and python3-cryptography.

    reader.py FILE --password-file F      opens with the recovery password
    reader.py FILE --slot-keys F          opens with a keyslot whose private keys
                                          are in F: {"slot": ID, "session": HEX, "touch": HEX}

It prints one JSON document with all accounts and their secrets, or fails with
one line on standard error.
"""

import argparse
import base64
import hashlib
import hmac
import json
import re
import sys
import tarfile
import unicodedata

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

MEMBERS = ["header.json", "keys.age", "session.age", "touch-key.age", "recovery-key.age",
           "device.age", "manifest.json", "manifest.sig"]
OPTIONAL = {"touch-key.age", "recovery-key.age", "device.age"}
RAW = serialization.Encoding.Raw, serialization.PublicFormat.Raw


class Refused(Exception):
    """The file is not what it should be, or does not open."""


def need(condition, what):
    if not condition:
        raise Refused(what)


# --- JSON -------------------------------------------------------------------

def no_duplicates(pairs):
    out = dict(pairs)
    need(len(out) == len(pairs), "a name twice")
    return out


def document(raw, fmt):
    doc = json.loads(raw, object_pairs_hook=no_duplicates)
    need(doc.get("format") == fmt, "not " + fmt)
    need(doc.get("version") == 1, "%s version %s is not known here" % (fmt, doc.get("version")))
    return doc


# --- age (age-encryption.org/v1) ----------------------------------------------

def b64(s):
    return base64.b64decode(s + "=" * (-len(s) % 4), validate=True)


def hkdf(key, salt, info, n=32, algorithm=hashes.SHA256):
    return HKDF(algorithm(), n, salt or None, info).derive(key)


def bech32_decode(s, hrp):
    charset = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    s = s.lower()
    need(s.startswith(hrp + "1"), "not a key of age")
    data = [charset.index(c) for c in s[len(hrp) + 1:]]
    chk = 1
    for v in [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp] + data:
        top = chk >> 25
        chk = (chk & 0x1FFFFFF) << 5 ^ v
        for i, g in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            chk ^= g if top >> i & 1 else 0
    need(chk == 1, "a key of age with a wrong checksum")
    bits = "".join(format(v, "05b") for v in data[:-6])
    return int(bits[:256], 2).to_bytes(32, "big")


def identity(text):
    return X25519PrivateKey.from_private_bytes(bech32_decode(text, "age-secret-key-"))


def stanzas(data):
    """Returns the stanzas, what the header's MAC covers, the MAC, the rest."""
    end = data.index(b"\n--- ") + 4
    stop = data.index(b"\n", end)
    lines = data[:end - 3].decode("ascii").split("\n")[:-1]
    need(lines[0] == "age-encryption.org/v1", "not an age file")
    out = []
    for line in lines[1:]:
        if line.startswith("-> "):
            out.append([line[3:].split(" "), ""])
        else:
            out[-1][1] += line
    return out, data[:end], b64(data[end + 1:stop].decode()), data[stop + 1:]


def file_key_x25519(args, body, key):
    if args[0] != "X25519":
        return None
    share = b64(args[1])
    mine = key.public_key().public_bytes(*RAW)
    shared = key.exchange(X25519PublicKey.from_public_bytes(share))
    wrap = hkdf(shared, share + mine, b"age-encryption.org/v1/X25519")
    try:
        return ChaCha20Poly1305(wrap).decrypt(bytes(12), b64(body), b"")
    except InvalidTag:
        return None


def file_key_scrypt(args, body, password):
    need(args[0] == "scrypt", "not a password's file")
    log_n = int(args[2])
    need(log_n <= 20, "a work factor of 2^%d" % log_n)
    key = Scrypt(b"age-encryption.org/v1/scrypt" + b64(args[1]), 32, 1 << log_n, 8, 1).derive(password)
    try:
        return ChaCha20Poly1305(key).decrypt(bytes(12), b64(body), b"")
    except InvalidTag:
        raise Refused("wrong recovery password") from None


def age_decrypt(data, key=None, password=None):
    found, covered, mac, rest = stanzas(data)
    file_key = None
    for args, body in found:
        if password is not None:
            file_key = file_key_scrypt(args, body, password)
        elif file_key is None:
            file_key = file_key_x25519(args, body, key)
    need(file_key is not None, "encrypted for somebody else")
    want = hmac.new(hkdf(file_key, b"", b"header"), covered, hashlib.sha256).digest()
    need(hmac.compare_digest(want, mac), "an age header was changed")
    nonce, rest = rest[:16], rest[16:]
    aead = ChaCha20Poly1305(hkdf(file_key, nonce, b"payload"))
    out, chunk = b"", 64 * 1024 + 16
    count = max(1, -(-len(rest) // chunk))
    for i in range(count):
        last = i == count - 1
        counter = i.to_bytes(11, "big") + (b"\x01" if last else b"\x00")
        try:
            out += aead.decrypt(counter, rest[i * chunk:(i + 1) * chunk], b"")
        except InvalidTag:
            raise Refused("an age payload was changed") from None
    return out


# --- HPKE (RFC 9180), base mode -------------------------------------------------

KEMS = {"X25519": (0x0020, hashes.SHA256, 32), "P-256": (0x0010, hashes.SHA256, 32), "P-384": (0x0011, hashes.SHA384, 48)}


def extract(suite, algorithm, salt, label, ikm):
    name = {hashes.SHA256: "sha256", hashes.SHA384: "sha384"}[algorithm]
    salt = salt or bytes(algorithm.digest_size)
    return hmac.new(salt, b"HPKE-v1" + suite + label + ikm, name).digest()


def expand(suite, algorithm, prk, label, info, n):
    return HKDFExpand(algorithm(), n, n.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info).derive(prk)


def diffie_hellman(alg, private, peer):
    if alg == "X25519":
        return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(peer))
    curve = ec.SECP256R1() if alg == "P-256" else ec.SECP384R1()
    key = ec.derive_private_key(int.from_bytes(private, "big"), curve)
    return key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(curve, peer))


def unwrap(wrap, key, private, info):
    kem, algorithm, n = KEMS[key["algorithm"]]
    enc, public = b64(wrap["enc"].rstrip("=")), b64(key["public"].rstrip("="))
    dh = diffie_hellman(key["algorithm"], private, enc)
    suite = b"KEM" + kem.to_bytes(2, "big")
    prk = extract(suite, algorithm, b"", b"eae_prk", dh)
    shared = expand(suite, algorithm, prk, b"shared_secret", enc + public, n)
    suite = b"HPKE" + kem.to_bytes(2, "big") + b"\x00\x01" + b"\x00\x02"
    sha = hashes.SHA256
    context = b"\x00" + extract(suite, sha, b"", b"psk_id_hash", b"") + extract(suite, sha, b"", b"info_hash", info)
    secret = extract(suite, sha, shared, b"secret", b"")
    aead = AESGCM(expand(suite, sha, secret, b"key", context, 32))
    try:
        return aead.decrypt(expand(suite, sha, secret, b"base_nonce", context, 12), b64(wrap["ct"].rstrip("=")), b"").decode()
    except InvalidTag:
        raise Refused("the key does not open the keyslot") from None


def slot_info(header, slot, cls):
    return ("tokend vault v1 keyslot\n%s\n%s\n%s\n%d\n" % (header["vault_id"], slot, cls, header["epoch"])).encode()


# --- the container -------------------------------------------------------------

def verify(public_hex, signature, message):
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_hex)).verify(signature, message)
    except InvalidSignature:
        raise Refused("a signature is wrong") from None


def read(path):
    members = {}
    with tarfile.open(path, "r:") as tar:
        for m in tar:
            need(m.isreg() and m.name in MEMBERS and m.name not in members, "member %r" % m.name)
            members[m.name] = tar.extractfile(m).read()
    need(list(members) == [n for n in MEMBERS if n in members], "members out of order")
    need(all(n in members or n in OPTIONAL for n in MEMBERS), "a member is missing")
    manifest = document(members["manifest.json"], "tokend-vault-manifest")
    verify(manifest["signer"], members["manifest.sig"], members["manifest.json"])
    for m in manifest["members"]:
        data = members.get(m["name"])
        if data is None and m["name"] == "device.age":
            continue
        need(data is not None and len(data) == m["size"] and hashlib.sha256(data).hexdigest() == m["sha256"],
             "%s was changed" % m["name"])
    listed = {m["name"] for m in manifest["members"]} | {"manifest.json", "manifest.sig"}
    need(set(members) <= listed, "a member that is not in the manifest")
    header = document(members["header.json"], "tokend-vault")
    need((header["vault_id"], header["epoch"]) == (manifest["vault_id"], manifest["epoch"]), "header and manifest differ")
    return members, manifest, header


def recovery_key(members, manifest, header, password):
    text = age_decrypt(members["recovery-key.age"], password=unicodedata.normalize("NFC", password).encode()).decode()
    said = dict(re.findall(r"^# ([a-z ]+): (.*)$", text, re.M))
    signer = said["signer"]
    for s in header.get("succession", []):
        need(s["from"] == signer, "a gap in the succession")
        verify(signer, b64(s["signature"].rstrip("=")),
               ("tokend vault v1 succession\n%s\n%d\n%s\n%s\n" % (header["vault_id"], s["epoch"], s["from"], s["to"])).encode())
        signer = s["to"]
    need(said["vault"] == header["vault_id"] and signer == manifest["signer"], "the recovery key names another signer")
    return identity(text.strip().split("\n")[-1])


def open_vault(members, manifest, header, opener, keys):
    need(keys["vault_id"] == header["vault_id"] and keys["epoch"] == header["epoch"], "keys of another vault")
    seed = Ed25519PrivateKey.from_private_bytes(base64.b64decode(keys["signing_key"]))
    need(seed.public_key().public_bytes(*RAW).hex() == manifest["signer"], "signed with another key")
    session = document(age_decrypt(members["session.age"], opener), "tokend-vault-session")
    need(session["vault_id"] == header["vault_id"], "accounts of another vault")
    device = {}
    if "device.age" in members:
        doc = document(age_decrypt(members["device.age"], identity(keys["session_key"])), "tokend-vault-device")
        device = {a["id"]: a for a in doc["accounts"]}
    return session, device


def tag(journal_key, secret):
    key = HKDF(hashes.SHA256(), 32, None, b"tokend vault v1 account tag").derive(base64.b64decode(journal_key))
    return hmac.new(key, secret, "sha256").hexdigest()[:16]


def account(a, device, touch, journal_key):
    typ = a.get("type", "totp")
    out = {
        "id": a["id"], "issuer": a.get("issuer", ""), "name": a["name"], "note": a.get("note", ""),
        "kind": a.get("kind", "third-party"), "class": a.get("class", "session"), "type": typ,
        "algorithm": a.get("algorithm", "SHA1"), "digits": a.get("digits", 5 if typ == "steam" else 6),
        "period": a.get("period", 0 if typ == "hotp" else 30), "counter": a.get("counter", 0), "created": a["created"],
        "export": a.get("export", True),
    }
    held = device.get(a["id"], {}) if out["kind"] == "managed" else a
    if "touch" in held:
        secret = age_decrypt(base64.b64decode(held["touch"]), touch)
        out["secret"] = base64.b32encode(secret).decode().rstrip("=")
        if "tag" in held:
            need(held["tag"] == tag(journal_key, secret), "the tag of an account is not its secret's")
            out["tag"] = held["tag"]
    elif "secret" in held:
        out["secret"] = held["secret"]
    return out


def main():
    p = argparse.ArgumentParser()
    p.add_argument("file")
    p.add_argument("--password-file")
    p.add_argument("--slot-keys")
    args = p.parse_args()
    members, manifest, header = read(args.file)
    touch = None
    if args.password_file:
        with open(args.password_file, encoding="utf-8") as f:
            opener = recovery_key(members, manifest, header, f.read().rstrip("\n"))
        keys = document(age_decrypt(members["keys.age"], opener), "tokend-vault-keys")
        if "touch-key.age" in members:
            touch = identity(age_decrypt(members["touch-key.age"], opener).decode())
    else:
        with open(args.slot_keys, encoding="utf-8") as f:
            mine = json.load(f)
        slot = next(s for s in header["keyslots"] if s["id"] == mine["slot"])
        public = {k["class"]: k for k in slot["keys"]}
        opener = identity(unwrap(slot["session_wrap"], public["session"], bytes.fromhex(mine["session"]),
                                 slot_info(header, slot["id"], "session")))
        keys = document(age_decrypt(members["keys.age"], opener), "tokend-vault-keys")
        sealed = next(s for s in keys["slots"] if s["id"] == slot["id"])
        if "touch_wrap" in sealed:
            touch = identity(unwrap(sealed["touch_wrap"], public["touch"], bytes.fromhex(mine["touch"]),
                                    slot_info(header, slot["id"], "touch")))
    session, device = open_vault(members, manifest, header, opener, keys)
    print(json.dumps({
        "vault_id": header["vault_id"], "epoch": header["epoch"], "generation": manifest["generation"],
        "time": manifest["time"], "signer": manifest["signer"],
        "labels": {s["id"]: s.get("label", "") for s in keys["slots"]},
        "accounts": [account(a, device, touch, keys["journal_key"]) for a in session["accounts"]],
    }, indent=1, sort_keys=True))


if __name__ == "__main__":
    try:
        main()
    except Refused as e:
        sys.exit("reader: %s" % e)

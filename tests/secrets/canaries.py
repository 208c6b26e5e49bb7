"""Secrets that must never show, the forms they are written in, and a search that looks into everything.

The search knows nothing of how the library masks: it unpacks what it is given (JSON, HTML, terminal colours,
base64, percent-encoding, a PNG's remarks, gzip) and looks for the canaries themselves.
"""

import base64
import html
import json
import re
import struct
import zlib
from contextlib import suppress
from urllib.parse import quote, unquote

KEY_LINES = (
    "b3BlbnNzaC1jYW5hcnkta2V5LXYxAAAAAEbm9uZQAAAARub25lAAAAAAABAAAAMwAAAAt",
    "zc2gtZWQyNTUxOQAAACCaNaRycaNaRy7q0mVwWc1J4yQJmK9sT0kWlq5bZQxv8hgAAAJD",
    "CaNaRyAAAAB3NzaC1yc2EAAAADAQABtail",
)
VALUES = {
    "TOY_TOKEN": "tok_canary_9f8e7d6c5b4a3210ffee",
    "TOY_DSN": "postgresql://runner:p%40ss-canary%2F81@db.example:5432/omnihub?sslmode=require",
    "TOY_KEY": "\n".join(
        ["-----BEGIN OPENSSH PRIVATE KEY-----", *KEY_LINES, "-----END OPENSSH PRIVATE KEY-----", ""]
    ),
    "TOY_PHRASE": 'it\'s a "canary" & <b>\\pässwörd</b> ☃ 100%',
    "TOY_WEBHOOK": "https://hooks.slack.example/services/T0CANARY0/B0CANARY1/x9y8z7w6v5u4t3s2",
    "TOY_PIN": "8812907734551206",
    "TOY_ACCOUNT": json.dumps(
        {"type": "service_account", "private_key": f"canary-{'aB3' * 9}\nsecond-line-of-it-{'Zz9' * 6}"}
    ),
}
# What counts as a leak: a value, or what of it is a secret by itself.
PARTS = {
    "TOY_TOKEN": [VALUES["TOY_TOKEN"]],
    "TOY_DSN": ["p%40ss-canary%2F81", "p@ss-canary/81"],
    "TOY_KEY": list(KEY_LINES),
    "TOY_PHRASE": [VALUES["TOY_PHRASE"]],
    "TOY_WEBHOOK": ["/services/T0CANARY0/B0CANARY1/x9y8z7w6v5u4t3s2"],
    "TOY_PIN": [VALUES["TOY_PIN"]],
    "TOY_ACCOUNT": [f"canary-{'aB3' * 9}", f"second-line-of-it-{'Zz9' * 6}"],
}
ENVIRONMENT = """\
name: {name}
says: for tests
default_mode: {mode}
databases:
  toy: {{dsn_variable: TOY_DSN}}
secret_variables: [TOY_TOKEN, TOY_KEY, TOY_PHRASE, TOY_WEBHOOK, TOY_PIN, TOY_ACCOUNT]
"""

FORMS = {
    "plain": str,
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 after 1": lambda value: base64.b64encode(b"x" + value.encode() + b"yz").decode(),
    "base64 after 2": lambda value: base64.b64encode(b"xy" + value.encode() + b"z").decode(),
    "base64 for URLs": lambda value: base64.urlsafe_b64encode(f"u:{value}".encode()).decode(),
    "URL": lambda value: quote(value, safe=""),
}


def written(value):
    """Return a value in every form."""
    return {form: write(value) for form, write in FORMS.items()}


def spoken():
    """Return texts with every canary in every form: (name, form, text)."""
    return [
        (name, form, f"it is {text} and so on")
        for name, value in VALUES.items()
        for form, text in written(value).items()
    ]


def leaks(content):
    """Return the names of the canaries that stand in `content`, however packed, with how they were found."""
    raw = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    found = set()
    for how, text in _unpacked(raw):
        for name, parts in PARTS.items():
            found |= {f"{name} ({how})" for part in parts if part in text}
    return found


_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}")


def _unpacked(raw, how="", depth=3):
    """Return (how, text) for content as it is and as every reader might unpack it, a few layers deep."""
    for encoding in ("utf-8", "latin-1", "utf-16-le"):
        yield f"{how}{encoding}", raw.decode(encoding, "replace")
    if depth == 0:
        return
    for layer, inner in _layers(raw):
        if inner != raw:
            yield from _unpacked(inner, f"{how}{layer}, ", depth - 1)


def _layers(raw):
    text = raw.decode("utf-8", "surrogateescape")
    for layer, inner in _text_layers(text):
        yield layer, inner.encode("utf-8", "surrogateescape")
    for match in _BASE64.finditer(text):
        run = match[0].replace("-", "+").replace("_", "/")
        for start in range(4):
            part = run[start:]
            part = part[: len(part) - (len(part) % 4 == 1)]
            yield "base64", base64.b64decode(part + "=" * (-len(part) % 4))
    if raw.startswith(b"\x1f\x8b"):
        with suppress(zlib.error):
            yield "gzip", zlib.decompressobj(31).decompress(raw)
    if raw.startswith(b"\x89PNG"):
        yield "PNG", b"\n".join(_remarks(raw))


def _text_layers(text):
    if "\x1b" in text:
        yield "colours", _ANSI.sub("", text)
    if "%" in text:
        yield "URL", unquote(text.replace("+", " "))
    if "<" in text or "&" in text:
        yield "HTML", html.unescape(re.sub(r"<!--.*?-->|<[^<>]*>", "", text, flags=re.DOTALL))
        yield "HTML", html.unescape(text)
    if "\\" in text:
        yield "escapes", "\n".join(_strings(text))


def _strings(text):
    """Return the strings of JSON, of lines of JSON, or else of anything that looks like a string literal."""
    try:
        yield from _texts(json.loads(text))
    except ValueError:
        for line in text.splitlines():
            try:
                yield from _texts(json.loads(line))
            except ValueError:
                yield (
                    re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), line)
                    .replace("\\n", "\n")
                    .replace('\\"', '"')
                    .replace("\\'", "'")
                    .replace("\\\\", "\\")
                )


def _texts(data):
    """Return every text in JSON data, joined too where a notebook holds it in pieces."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for key, item in data.items():
            yield key
            yield from _texts(item)
    elif isinstance(data, list):
        if data and all(isinstance(item, str) for item in data):
            yield "".join(data)
        for name in ("stdout", "stderr"):
            said = (item for item in data if isinstance(item, dict) and item.get("name") == name)
            yield "".join("".join(item.get("text", "")) for item in said)
        for item in data:
            yield from _texts(item)


def _remarks(png):
    at = 8
    while at + 8 <= len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += 12 + length
        if kind == b"IDAT":
            continue
        yield body
        for start in range(len(body)):
            if body[start : start + 1] == b"\x78":
                try:
                    yield zlib.decompressobj().decompress(body[start:])
                except zlib.error:
                    continue

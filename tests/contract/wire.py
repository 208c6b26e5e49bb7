"""What the worlds of a test run recorded, read back and held against the vendors' descriptions."""

import base64
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from tests.contract.description import Description

ROOT = Path(__file__).parents[2]
SPECS = Path(os.environ.get("RUNBOOK_SPECS") or ROOT.parent / "shared" / "specs")
REFUSES_SHAPE = (400, 422)
ABSENT = f"the vendors' descriptions are not at {SPECS}: what crossed the wire was not held against them"


@dataclass(frozen=True)
class Exchange:
    """One request and its reply."""

    vendor: str
    call: str
    fault: str
    method: str
    path: str
    query: list
    headers: dict
    body: bytes
    status: int
    content_type: str
    reply_headers: dict
    reply: bytes

    @classmethod
    def of(cls, line):
        doc = json.loads(line)
        return cls(
            **{
                **doc,
                "query": [tuple(pair) for pair in doc["query"]],
                "headers": {name.lower(): value for name, value in doc["headers"].items()},
                "body": base64.b64decode(doc["body"]),
                "reply": base64.b64decode(doc["reply"]),
            }
        )


@dataclass
class Checker:
    """Checks exchanges against descriptions; `let_be` maps a vendor to words that excuse a finding."""

    vendors: list
    checked: int = 0
    operations: set = field(default_factory=set)

    def __post_init__(self):
        self._described = {
            prefix: Description(SPECS / f"{name}.openapi.json", prefix)
            for vendor in self.vendors
            for prefix, name in vendor.specs.items()
        }
        self._let_be = {vendor.name: tuple(vendor.let_be) for vendor in self.vendors}

    def description_of(self, path):
        fitting = [p for p in self._described if path == p or path.startswith(p + "/")]
        return self._described[max(fitting, key=len)] if fitting else None

    def wrongs(self, exchange):
        """Return what is wrong with an exchange, and where; a reply that a fault made is not judged."""
        described = self.description_of(exchange.path)
        if described is None:
            return [f"{exchange.vendor or '?'}: {exchange.path} belongs to no vendor's description"]
        self.checked += 1
        self.operations.add((described.name, described.operation(exchange.method, exchange.path)))
        # A request that the vendor itself refuses as malformed is meant to be so: its case says it.
        found = [] if exchange.status in REFUSES_SHAPE else described.wrongs_of_request(exchange)
        if exchange.fault in ("", "latency", "cut-after", "stale", "accepted"):
            found += described.wrongs_of_reply(exchange)
        where = f"{exchange.vendor} {exchange.call}: {exchange.method} {exchange.path} → {exchange.status}"
        excused = self._let_be.get(exchange.vendor, ())
        lines = [f"{where}: {wrong}" for wrong in found]
        return [line for line in lines if not any(words in line for words in excused)]


def exchanges(folder):
    """Return all that was recorded in a folder."""
    return [
        Exchange.of(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()
    ]

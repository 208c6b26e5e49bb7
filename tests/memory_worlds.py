"""A rehearsal world in memory, with our own clients before it: HTTP and DNS as bytes, without sockets."""

from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

import dns.message
import requests

from runbook.plan import load_environment, load_plan
from runbook.providers.dns import answers, asking
from runbook.providers.lines import Line
from runbook.sandbox.vendors.vercel.emulator import DOMAIN
from runbook.sandbox.world.part import Call
from runbook.sandbox.world.world import World
from runbook.step import Rehearsal, Step
from tests.project import ROOT

URL = "http://127.0.0.1:9"  # nothing listens there, and nothing is sent
FIRST_PORT = 20_000
ENVIRONMENT, PLAN = load_environment(ROOT, "sandbox"), load_plan(ROOT)


class WorldClock:
    """A run's clock that is the world's: waiting moves the world on."""

    def __init__(self, world):
        self._world, self._began = world, world.clock.now()

    def now(self):
        return self._world.clock.now()

    def monotonic_s(self):
        return (self.now() - self._began).total_seconds()

    def sleep_until(self, when):
        self._world.advance_to(when)


class Kept(dict):
    """The evidence of a step, by name."""

    def __call__(self, name, content):
        self[name] = content.decode()


class MemoryWorld:
    """A whole world; `step()` makes steps on it, `calls` are the names of the vendors' calls, in order."""

    def __init__(self):
        self.world = World(None)
        self.calls = []
        self.endpoints = {}
        for port, endpoint in enumerate(self.internet.endpoints(), start=FIRST_PORT):
            endpoint.port = port
            self.endpoints[port] = endpoint

    @property
    def internet(self):
        return self.world.part("dns").internet

    @property
    def vercel(self):
        return self.world.part("vercel")

    @property
    def cloudflare(self):
        return self.world.part("cloudflare")

    def now(self):
        return self.world.clock.now()

    def pass_s(self, seconds):
        self.world.advance_to(self.now() + timedelta(seconds=seconds))

    def step(self, run_id="r1", **more):
        reach = Rehearsal(
            url=URL, secrets=self.world.secrets(), addresses={"dns": self.world.part("dns").addresses()}
        )
        known = {"environment": lambda: ENVIRONMENT, "rollout": lambda: PLAN, "rehearsal": lambda: reach}
        return Step(clock=WorldClock(self.world), run_id=run_id, evidence_sink=Kept(), **known, **more)

    def delegated_to(self):
        return set(self.internet.delegation(DOMAIN).nameservers)

    def records_at_cloudflare(self):
        """Return every record that Cloudflare holds, as (type, name, content)."""
        zones = self.cloudflare.zones
        found = [record for zone in zones.all() for record in zones.records(zone).values()]
        return sorted((one["type"], one["name"], one["content"]) for one in found)

    def messages(self):
        """Return what was said in the channel since the world began."""
        return [doc["text"] for doc in list(self.world.part("slack").table("messages").values())[1:]]

    def upload(self, rows):
        """Put records in place of the own ones at Vercel; ValueError: a zone cannot hold them."""
        self.vercel.records.bring(DOMAIN, rows, instead=True)

    def asked(self, pairs, manner, asked_at):
        return [self._asked(server, question, manner, asked_at) for server, question in pairs]

    def _asked(self, server, question, manner, asked_at):
        wire = asking._query(question, manner).to_wire()
        reply = self.endpoints[server.port].handle(wire, tcp=True)
        if reply is None:
            return answers.Answer(server=server, question=question, outcome="timeout", asked_at=asked_at)
        message = dns.message.from_wire(reply)
        return answers.answer_of(
            answers.Received(message), server, question, asked_at=asked_at, latency_ms=0.0
        )

    def answered(self, request):
        found = urlsplit(request.url)
        body = request.body or b""
        raw = body.encode() if isinstance(body, str) else body
        query = parse_qsl(found.query, keep_blank_values=True)
        outcome = self.world.answer(Call(request.method, found.path, query, request.headers, raw))
        self.calls.append(outcome.call)
        if outcome.mangled:
            raise requests.ConnectionError("the connection was cut")
        return outcome.answer


@contextmanager
def memory_world():
    """Yield a world that our clients reach while the context lasts."""
    world = MemoryWorld()

    def send(_line, request, **_options):
        answer = world.answered(request)
        response = requests.Response()
        response.status_code, response.raw = answer.status, BytesIO(answer.content())
        response.headers.update({"Content-Type": answer.content_type, **answer.headers})
        response.request, response.url = request, request.url
        return response

    async def ask_all(pairs, manner, asked_at):
        return world.asked(pairs, manner, asked_at)

    with (
        mock.patch.object(Line, "send", send),
        mock.patch.object(asking, "_ask_all", ask_all),
    ):
        yield world

"""A server on loopback that answers as it is told, and a session with it on a virtual clock."""

import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from runbook.clock import VirtualClock
from runbook.providers.dialect import Dialect
from runbook.providers.http import Http

NOON = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
TOKEN = "tok-0123456789abcdef"


class Script:
    """Replies in order, the last one for ever; `seen` is what was asked: (method, path, headers, body).

    `clients` are the ports that it was asked from: one for each connection.
    """

    def __init__(self):
        self.replies, self.seen, self.clients = [], [], []

    def say(self, status=200, body=b"{}", **headers):
        self.replies.append((status, body, {name.replace("_", "-"): text for name, text in headers.items()}))

    def cut(self):
        self.replies.append(None)

    def next(self):
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


@pytest.fixture
def script():
    return Script()


@pytest.fixture
def url(script):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            script.seen.append((self.command, self.path, dict(self.headers), body))
            script.clients.append(self.client_address[1])
            reply = script.next()
            if reply is None:
                self.close_connection = True
                return
            status, body, headers = reply
            self.send_response(status)
            for name, text in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = "Content-Length" in headers

        do_GET = do_POST = answer  # noqa: N815  # its names

        def log_message(self, *_args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    server.block_on_close = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def clock():
    return VirtualClock(NOON)


@pytest.fixture
def events():
    return []


@pytest.fixture
def kept():
    return {}


@pytest.fixture
def http(url, clock, events, kept):
    dialect = Dialect(
        vendor="toy",
        mount="/toy",
        secrets=("token",),
        authorize=lambda secrets: {"Authorization": f"Bearer {secrets['token']}"},
        attempts=3,
    )
    session = Http(
        dialect,
        url,
        clock,
        secrets={"token": TOKEN},
        timeout_s=0.5,
        hear=events.append,
        keep=kept.__setitem__,
    )
    with session:
        yield session

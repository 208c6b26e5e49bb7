"""HTTP in front of a world, on a free port of 127.0.0.1: vendors by path prefix, control under `/_world/`."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from runbook.errors import RunbookError
from runbook.sandbox.world.control import Control
from runbook.sandbox.world.part import Answer, Call
from runbook.sandbox.world.seen import Seen
from runbook.sandbox.world.wire import Wire
from runbook.sandbox.world.world import Outcome, World

HOST: Final = "127.0.0.1"
CONTROL: Final = "/_world/"
_BODY_AT_MOST: Final = 32 * 1024 * 1024


class Server:
    """Serves one world until `stop` is asked for; the folder holds all that it leaves on disk."""

    def __init__(self, world: World, folder: Path, *, wire: Path | None = None) -> None:
        self.world = world
        self.stopping = asyncio.Event()
        self._seen = Seen(folder / "requests.jsonl")
        self._wire = None if wire is None else Wire(wire)
        self._control = Control(world, self._seen, stop=self.stopping.set)
        self._runner = web.ServerRunner(web.Server(self._handle, request_factory=_request))
        self._date = ("", "")

    async def start(self, port: int = 0) -> int:
        """Listen, on `port` when it is free; return the port."""
        await self._runner.setup()
        try:
            site = web.TCPSite(self._runner, HOST, port)
            await site.start()
        except OSError:
            if not port:
                raise
            site = web.TCPSite(self._runner, HOST, 0)
            await site.start()
        for part in self.world.parts.values():
            await part.start()
        server: Any = site._server  # noqa: SLF001  # aiohttp has no other way to tell the port
        return int(server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        for part in self.world.parts.values():
            await part.stop()
        await self._runner.cleanup()
        self._seen.close()
        if self._wire is not None:
            self._wire.close()
        self.world.state.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        raw_path = request.rel_url.raw_path
        call = Call(
            request.method, raw_path, list(request.query.items()), request.headers, await request.read()
        )
        if raw_path.startswith(CONTROL):
            return self._reply(self._loud(self._control.answer, call))
        outcome = self._loud_outcome(call)
        self._seen.add(self.world.clock.now(), call, outcome)
        if self._wire is not None:
            self._wire.add(call, outcome)
        if outcome.delay_s:
            await asyncio.sleep(outcome.delay_s)
        if outcome.mangled == "cut":
            return _cut(request)
        response = self._reply(outcome.answer)
        return await _half(request, response) if outcome.mangled == "truncated" else response

    def _loud_outcome(self, call: Call) -> Outcome:
        try:
            return self.world.answer(call)
        except Exception:
            self._seen.bug(call, traceback.format_exc())
            raise

    def _loud(self, answer: Callable[[Call], Answer], call: Call) -> Answer:
        try:
            return answer(call)
        except RunbookError as error:
            return Answer(400, {"error": type(error).__name__, "message": str(error)})
        except Exception:
            self._seen.bug(call, traceback.format_exc())
            raise

    def _reply(self, answer: Answer) -> web.Response:
        headers = {**answer.headers, "Date": self._now_text()}
        if answer.body is not None:
            headers["Content-Type"] = answer.content_type
        return web.Response(status=answer.status, body=answer.content(), headers=headers)

    def _now_text(self) -> str:
        now = self.world.clock.now().replace(microsecond=0)
        if self._date[0] != now.isoformat():
            self._date = (now.isoformat(), format_datetime(now, usegmt=True))
        return self._date[1]


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    """Make a request whose body may be larger than aiohttp's 1 MiB."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=_BODY_AT_MOST)


def _cut(request: web.BaseRequest) -> web.Response:
    """End the connection instead of replying."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _half(request: web.BaseRequest, whole: web.Response) -> web.StreamResponse:
    """Announce the whole body, send half of it, and end the connection."""
    body = whole.body if isinstance(whole.body, bytes) else b""
    response = web.StreamResponse(status=whole.status, headers=whole.headers)
    response.content_length = max(1, len(body))
    await response.prepare(request)
    if len(body) > 1:
        await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response

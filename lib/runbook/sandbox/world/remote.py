"""A world seen from another process: its control API as methods, and its clock as a run's clock."""

from __future__ import annotations

import http.client
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from runbook.clock import FileClock, utc_text
from runbook.errors import InputError, StepFailed
from runbook.sandbox.world.faults import Fault
from runbook.sandbox.world.state import CLOCK

_TIMEOUT_S: Final = 30.0
_BAD_REQUEST: Final = 400
_OK: Final = 200


class RemoteWorld:
    """Speaks to the world at `url`, in `folder`; every method raises StepFailed when it does not answer."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self._host = urlsplit(url).netloc

    def status(self) -> dict[str, Any]:
        return dict(self._ask("GET", "status"))

    def secrets(self) -> dict[str, dict[str, str]]:
        """Return the made-up credentials by part and name."""
        return dict(self._ask("GET", "secrets"))

    def addresses(self) -> dict[str, dict[str, str]]:
        """Return what parts listen on besides HTTP, by part and name, as host:port."""
        return dict(self._ask("GET", "addresses"))

    def now(self) -> datetime:
        return datetime.fromisoformat(self._ask("GET", "clock")["now"])

    def advance(self, by: timedelta) -> datetime:
        return datetime.fromisoformat(self._ask("POST", "advance", {"seconds": by.total_seconds()})["now"])

    def advance_to(self, when: datetime) -> datetime:
        return datetime.fromisoformat(self._ask("POST", "advance", {"until": utc_text(when)})["now"])

    def requests(self, *, vendor: str = "", call: str = "") -> list[dict[str, Any]]:
        """Return the newest requests, oldest first: at, vendor, call, method, path, status, fault."""
        return list(self._ask("GET", "requests?" + urlencode({"vendor": vendor, "call": call})))

    def set_fault(
        self, name: str, *, vendor: str = "*", call: str = "*", times: int | None = 1, **more: Any
    ) -> None:
        """Set a fault of faults.py; `more` is status, retry_after_s or seconds."""
        given = {"name": name, "vendor": vendor, "call": call, "times": times, **more}
        self._ask("POST", "faults", given)

    def lift_faults(self) -> None:
        self._ask("DELETE", "faults")

    def faults(self) -> list[Fault]:
        return [Fault(**doc) for doc in self._ask("GET", "faults")]

    def play(self, scenario: str) -> dict[str, Any]:
        """Begin a scenario; return the status after it."""
        return dict(self._ask("POST", "scenario", {"name": scenario}))

    def reset(self, *parts: str) -> None:
        self._ask("POST", "reset", {"parts": parts})

    def dump(self) -> dict[str, Any]:
        return dict(self._ask("GET", "dump"))

    def health(self) -> dict[str, list[str]]:
        """Return what is wrong with the world itself: `bugs` of emulators, `unsaved` documents."""
        return dict(self._ask("GET", "health"))

    def stop(self) -> None:
        self._ask("POST", "stop")

    def _ask(self, method: str, what: str, data: Any = None) -> Any:
        connection = http.client.HTTPConnection(self._host, timeout=_TIMEOUT_S)
        try:
            connection.request(method, f"/_world/{what}", None if data is None else json.dumps(data))
            reply = connection.getresponse()
            said = json.loads(reply.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self.silent(error) from error
        finally:
            connection.close()
        if reply.status == _BAD_REQUEST:
            raise InputError(said["message"])
        if reply.status != _OK:
            raise StepFailed(f"the sandbox at {self.url} failed at {method} {what}; its log tells why")
        return said

    def silent(self, error: Exception) -> StepFailed:
        """Return what there is to say when it does not answer."""
        return StepFailed(f"the sandbox at {self.url} does not answer ({error}); see: runbook sandbox status")


class SandboxClock(FileClock):
    """A run's clock that is the world's: it is read where the world shows it; waiting moves the world on."""

    def __init__(self, world: RemoteWorld) -> None:
        super().__init__(world.folder.resolve() / CLOCK)
        self._world = world

    def now(self) -> datetime:
        try:
            return super().now()
        except OSError as error:
            raise self._world.silent(error) from error

    def sleep_until(self, when: datetime) -> None:
        self._world.advance_to(when)

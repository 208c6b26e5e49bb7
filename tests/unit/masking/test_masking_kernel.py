"""A kernel's session packs only what is masked; headers, which lead a message home, stay as they are."""

import json
from types import SimpleNamespace

from runbook.masking import guard_kernel
from runbook.plan import Secrets

TOKEN = "tok_9f8e7d6c5b4a3210"
SECRETS = Secrets(["TOKEN"], environ={"TOKEN": TOKEN})


class Hooked:
    """A display that takes hooks, as IPython's do."""

    def __init__(self):
        self.hooks = []

    def register_hook(self, hook):
        self.hooks.append(hook)


def shell_of(pack=lambda part: json.dumps(part).encode()):
    events = SimpleNamespace(registered=[])
    events.register = lambda name, function: events.registered.append((name, function))
    return SimpleNamespace(
        kernel=SimpleNamespace(session=SimpleNamespace(pack=pack)),
        display_pub=Hooked(),
        displayhook=Hooked(),
        events=events,
        _showtraceback=lambda *_lines: "shown",
    )


def test_the_parts_of_a_message_are_masked_and_its_header_is_not():
    """Content, metadata and their depths; the names of a message's own fields stay."""
    shell = shell_of()
    guard_kernel(shell, SECRETS)
    pack = shell.kernel.session.pack
    assert json.loads(pack({"data": {"text/plain": TOKEN}, "traceback": [TOKEN]})) == {
        "data": {"text/plain": "[TOKEN]"},
        "traceback": ["[TOKEN]"],
    }
    header = {"msg_id": TOKEN, "username": TOKEN}
    assert json.loads(pack(header)) == header


def test_a_kernel_is_guarded_once():
    """Opening a second run in one kernel puts no mask over the mask."""
    shell = shell_of()
    guard_kernel(shell, SECRETS)
    first = shell.kernel.session.pack
    guard_kernel(shell, SECRETS)
    assert shell.kernel.session.pack is first
    assert len(shell.display_pub.hooks) == len(shell.events.registered) == 1
    assert shell._showtraceback(ValueError, ValueError("x"), []) == "shown"


def test_where_there_is_nothing_to_guard_nothing_is_changed():
    """Outside a kernel, and without a secret that is set."""
    guard_kernel(None, SECRETS)
    guard_kernel(SimpleNamespace(), SECRETS)
    shell = shell_of()
    before = shell.kernel.session.pack
    guard_kernel(shell, Secrets(["TOKEN"], environ={}))
    assert shell.kernel.session.pack is before

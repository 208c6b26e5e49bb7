"""What crossed a wire is read on from where it was read to, and a wrong reply in it is found."""

import json

import pytest

from runbook.providers import slack
from runbook.sandbox.world.launch import WorldProcess
from tests.conftest import Recording, the_checker
from tests.contract.conftest import make_step
from tests.contract.wire import ABSENT, SPECS


def test_a_world_in_any_test_is_recorded(tmp_path, monkeypatch):
    """Nobody asks for it: the variable is enough, for the worlds that runs start as well."""
    monkeypatch.setenv("RUNBOOK_WIRE", str(tmp_path / "wire"))
    recording = Recording(tmp_path / "wire")
    with WorldProcess(tmp_path / "world") as world:
        slack.read_history(make_step(world.remote), since=world.remote.now())
    crossed = recording.new()
    assert {one.call for one in crossed} >= {"read_history"}
    assert recording.new() == []


def test_half_a_line_waits_for_its_other_half(tmp_path):
    """A killed world leaves one; a living one ends it later."""
    texts = ("vendor", "call", "fault", "method", "path", "body", "content_type", "reply")
    empty = {"query": [], "headers": {}, "status": 200, "reply_headers": {}}
    line = json.dumps(dict.fromkeys(texts, "") | empty) + "\n"
    file, recording = tmp_path / "1.jsonl", Recording(tmp_path)
    file.write_text(line + line[:20])
    assert len(recording.new()) == 1
    file.write_text(line + line)
    assert len(recording.new()) == 1
    assert recording.new() == []


def test_a_wrong_reply_is_found(tmp_path, monkeypatch):
    """A field that the description does not have, in a reply that was right."""
    if not SPECS.is_dir():
        pytest.skip(ABSENT)
    monkeypatch.setenv("RUNBOOK_WIRE", str(tmp_path / "wire"))
    with WorldProcess(tmp_path / "world") as world:
        slack.read_history(make_step(world.remote), since=world.remote.now())
    path = next((tmp_path / "wire").glob("*.jsonl"))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    checker = the_checker()
    right = [wrong for one in Recording(tmp_path / "wire").new() for wrong in checker.wrongs(one)]
    lines[-1]["query"] = [["nobody_knows", "1"]]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    wrong = [wrong for one in Recording(tmp_path / "wire").new() for wrong in checker.wrongs(one)]
    assert (right, len(wrong)) == ([], 1)

"""Commands: one table of them, held by a real Valkey and by the table that stands in for it."""

import asyncio
import os
import select
from pathlib import Path

import pytest
import requests

from runbook.sandbox.valkey import Valkey
from runbook.sandbox.vendors.upstash import Upstash
from runbook.sandbox.vendors.upstash.store import CommandError, Discarded, TableStore
from runbook.sandbox.world.launch import WorldProcess
from runbook.sandbox.world.world import World, found_parts

GONE_WITHIN_MS = 30_000
# What is run, in this order, and what comes of it; a text that begins with a code in capitals is a refusal.
TABLE = [
    (["PING"], "PONG"),
    (["ping", "hello"], "hello"),
    (["ECHO", "schöne grüße"], "schöne grüße"),
    (["GET", "none"], None),
    (["SET", "a", "1"], "OK"),
    (["GET", "a"], "1"),
    (["SET", "a", "2", "NX"], None),
    (["SET", "b", "2", "XX"], None),
    (["SET", "b", "2", "NX"], "OK"),
    (["SET", "b", "3", "XX", "EX", "100"], "OK"),
    (["TTL", "b"], 100),
    (["SET", "b", "3"], "OK"),
    (["TTL", "b"], -1),
    (["TTL", "none"], -2),
    (["EXPIRE", "b", "50"], 1),
    (["EXPIRE", "none", "50"], 0),
    (["TTL", "b"], 50),
    (["INCR", "a"], 2),
    (["INCRBY", "a", "-12"], -10),
    (["INCR", "new"], 1),
    (["SET", "word", "text"], "OK"),
    (["INCR", "word"], "ERR value is not an integer or out of range"),
    (["INCRBY", "a", "x"], "ERR value is not an integer or out of range"),
    (["SET", "a", "1", "EX", "0"], "ERR invalid expire time in 'set' command"),
    (["SET", "a", "1", "ZZ"], "ERR syntax error"),
    (["SET", "a"], "ERR wrong number of arguments for 'set' command"),
    (["GET"], "ERR wrong number of arguments for 'get' command"),
    (["NONSENSE", "x"], "ERR unknown command 'NONSENSE', with args beginning with: 'x' "),
    (["MGET", "a", "none", "word"], ["-10", None, "text"]),
    (["EXISTS", "a", "a", "none"], 2),
    (["DBSIZE"], 4),
    (["DEL", "a", "none", "a"], 1),
    (["DBSIZE"], 3),
    (["EXPIRE", "b", "-1"], 1),
    (["GET", "b"], None),
]


@pytest.fixture(scope="module")
def valkey():
    part = Valkey(World(None, kinds=[]))
    asyncio.run(part.start())
    yield part
    asyncio.run(part.stop())


@pytest.fixture(params=["a table", "Valkey"])
def store(request):
    if request.param == "a table":
        return TableStore(World(None, kinds=[Upstash]).part("upstash"))
    found = request.getfixturevalue("valkey")
    found.seed()
    return found


def test_they_answer_alike(store):
    """Every line of the table, in its order."""
    for command, expected in TABLE:
        try:
            found = store.run(command)
        except CommandError as error:
            found = str(error)
        assert found == expected, command


def test_a_transaction_is_all_or_none(store):
    """A command that fails is an entry; one that is none discards them all."""
    store.run(["SET", "word", "text"])
    found = store.run_together([["SET", "a", "1"], ["INCR", "word"], ["GET", "a"]])
    assert [found[0], found[2]] == ["OK", "1"]
    assert str(found[1]) == "ERR value is not an integer or out of range"
    with pytest.raises(Discarded, match="EXECABORT Transaction discarded because of previous errors"):
        store.run_together([["SET", "a", "2"], ["NONSENSE"]])
    assert store.run(["GET", "a"]) == "1"


def run(world, *words):
    headers = {"Authorization": f"Bearer {world.secrets()['upstash']['rest_token']}"}
    return requests.post(f"{world.url}/upstash-data/", json=list(words), headers=headers, timeout=5).json()


def ends(pid):
    """Wait for a process that is not our child to end; the kernel tells."""
    if not Path(f"/proc/{pid}").exists():
        return True
    handle = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(GONE_WITHIN_MS))
    finally:
        os.close(handle)


def test_a_world_has_one_when_it_is_asked_to(tmp_path):
    """Its commands are Valkey's then, a shadow sees its texts, and it goes with a killed world."""
    assert "valkey" not in {part.name for part in found_parts()}
    with WorldProcess(tmp_path / "world", valkey=True) as process:
        world = process.remote
        assert run(world, "SET", "a", "1") == {"result": "OK"}
        world.set_fault("accepted", vendor="upstash", call="run_command", times=2)
        assert run(world, "SET", "a", "2") == {"result": "OK"}
        assert run(world, "GET", "a") == {"result": "1"}
        assert world.faults() == []
        assert run(world, "GET", "a") == {"result": "1"}
        assert world.status()["parts"]["valkey"]["server"] == "Valkey 9.1.2, 1 keys"
        world.reset()
        assert run(world, "DBSIZE") == {"result": 0}
        info = run(world, "INFO", "server")["result"]
        pid = int(next(line[11:] for line in info.splitlines() if line.startswith("process_id:")))
        process.kill()
        assert ends(pid)

"""Bytes in, bytes out: whatever arrives, the answer is right or a plain refusal, and the server goes on."""

import itertools

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rdatatype
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.sandbox.dns.lookup import Question
from runbook.sandbox.dns.wire import OUR_UDP_BYTES
from runbook.sandbox.dns.zone import RecordSet, to_name, txt_value
from tests.dns_worlds import NEW, OLD, ZONE, SmallWorld, ask

WORLD = SmallWorld()
QUERY = dns.message.make_query(f"www.{ZONE}", "A", use_edns=0).to_wire()


def big_world():
    world = SmallWorld()
    values = tuple(txt_value(f"{number:03d}" + "x" * 200) for number in range(20))
    world.zones["vercel"].put(RecordSet(f"big.{ZONE}", "TXT", 60, values))
    return world


@settings(deadline=None)
@given(st.binary(max_size=600))
def test_no_packet_kills_a_server(wire):
    """Any bytes get silence or a message that says so, and the next question gets its answer."""
    for endpoint in (WORLD.nameserver("vercel"), WORLD.resolver(1)):
        answer = endpoint.handle(wire)
        assert answer is None or (answer[:2] == wire[:2] and answer[2] & 0x80)
        assert endpoint.handle(QUERY) is not None


@settings(deadline=None)
@given(st.data())
def test_no_damaged_query_kills_a_server(data):
    """A query with bytes changed, cut or added is answered or refused, never by an exception."""
    wire = bytearray(QUERY)
    for _ in range(data.draw(st.integers(1, 6))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    wire = bytes(wire[: data.draw(st.integers(0, len(wire)))]) + data.draw(st.binary(max_size=20))
    for tcp in (False, True):
        answer = WORLD.nameserver("vercel").handle(wire, tcp=tcp)
        if answer is not None:
            dns.message.from_wire(answer)


def test_replies_are_not_answered():
    """A message that is itself a reply gets silence, or two servers would talk for ever."""
    reply = dns.message.make_response(dns.message.from_wire(QUERY))
    assert WORLD.nameserver("vercel").handle(reply.to_wire()) is None


@pytest.mark.parametrize(
    ("change", "rcode"),
    [
        pytest.param(lambda q: q.set_opcode(dns.opcode.NOTIFY), "NOTIMP", id="notify"),
        pytest.param(lambda q: q.question.clear(), "FORMERR", id="no question"),
        pytest.param(lambda q: q.question.extend(q.question), "FORMERR", id="two questions"),
        pytest.param(lambda q: q.use_edns(1), "BADVERS", id="EDNS 1"),
    ],
)
def test_what_no_server_of_ours_does_is_refused(change, rcode):
    """Other operations, none or two questions, an EDNS version to come."""
    query = dns.message.make_query(f"www.{ZONE}", "A", use_edns=0)
    change(query)
    reply = dns.message.from_wire(WORLD.nameserver("vercel").handle(query.to_wire()))
    assert reply.rcode().name == rcode


@pytest.mark.parametrize(
    ("rdtype", "rcode"), [("AXFR", "REFUSED"), ("IXFR", "REFUSED"), ("MAILB", "FORMERR"), ("ANY", "NOERROR")]
)
def test_special_types_get_what_the_vendors_say(rdtype, rcode):
    """No zone transfers; ANY gets the one small record of RFC 8482."""
    reply = ask(WORLD.nameserver("vercel"), ZONE, rdtype)
    assert reply.rcode().name == rcode
    assert [one.rdtype.name for one in reply.answer] == (["HINFO"] if rdtype == "ANY" else [])


@pytest.mark.parametrize(
    ("payload", "limit"), [(None, 512), (100, 512), (900, 900), (1_232, 1_232), (4_096, OUR_UDP_BYTES)]
)
def test_what_does_not_fit_is_cut_short_and_comes_by_tcp(payload, limit):
    """Over UDP an answer too long is empty with the flag TC; over TCP it is whole."""
    world = big_world()
    query = dns.message.make_query(
        f"big.{ZONE}", "TXT", use_edns=payload is not None and 0, payload=payload or 0
    )
    if payload is None:
        query.use_edns(False)
    wire = world.nameserver("vercel").handle(query.to_wire())
    cut = dns.message.from_wire(wire)
    assert len(wire) <= limit
    assert (bool(cut.flags & dns.flags.TC), cut.answer) == (True, [])
    whole = dns.message.from_wire(world.nameserver("vercel").handle(query.to_wire(), tcp=True))
    assert (whole.flags & dns.flags.TC, len(whole.answer[0])) == (0, 20)


def test_what_fits_exactly_is_not_cut():
    """The limit is the client's, to the byte."""
    world = SmallWorld()
    world.zones["vercel"].put(RecordSet(f"t.{ZONE}", "TXT", 60, (txt_value("x" * 700),)))
    ask_with = lambda size: dns.message.make_query(f"t.{ZONE}", "TXT", use_edns=0, payload=size)  # noqa: E731
    size = len(world.nameserver("vercel").handle(ask_with(1_232).to_wire()))
    fits, short = (
        dns.message.from_wire(world.nameserver("vercel").handle(ask_with(n).to_wire()))
        for n in (size, size - 1)
    )
    assert (len(fits.answer), len(short.answer), bool(short.flags & dns.flags.TC)) == (1, 0, True)


def test_the_question_comes_back_as_it_was_spelt():
    """Mixed case is kept: clients use it against forgery."""
    reply = ask(WORLD.nameserver("vercel"), "wWw.oMnIhUb.DeV.", "A")
    assert reply.question[0].name.labels[0] == b"wWw"
    assert reply.answer[0][0].address == OLD


def test_a_change_shows_in_the_very_next_answer():
    """Replies kept as bytes are void once any zone has changed."""
    world = SmallWorld()
    server = world.nameserver("vercel")
    seen = [server.handle(QUERY), server.handle(QUERY)]
    world.zones["vercel"].put(RecordSet(f"www.{ZONE}", "A", 60, (NEW,)))
    after = dns.message.from_wire(server.handle(QUERY))
    assert seen[0] == seen[1]
    assert after.answer[0][0].address == NEW


def test_the_same_question_with_another_id_gets_its_own_id_back():
    """What is kept as bytes is kept without the ID."""
    server = WORLD.nameserver("vercel")
    answers = {server.handle(bytes([n, 255 - n]) + QUERY[2:])[:2] for n in range(256)}
    assert answers == {bytes([n, 255 - n]) for n in range(256)}


def test_random_names_do_not_fill_the_memory(monkeypatch):
    """No more than a fixed number of replies is kept as bytes."""
    monkeypatch.setattr("runbook.sandbox.dns.wire.KEPT", 50)
    server = SmallWorld().nameserver("vercel")
    for number in range(200):
        assert ask(server, f"made-up-{number}.{ZONE}", "A").rcode().name == "NXDOMAIN"
    assert len(server._kept[False]) == 50


def test_a_server_can_be_mute_or_garbled():
    """The two faults of a whole server: no answer, or bytes that are no message."""
    world = SmallWorld()
    server = world.nameserver("vercel")
    world.internet.break_server(server.name, garbled=True)
    wire = server.handle(QUERY)
    assert wire[:2] == QUERY[:2]
    with pytest.raises(dns.exception.DNSException):
        dns.message.from_wire(wire)
    world.internet.break_server(server.name, mute=True)
    assert server.handle(QUERY) is None
    world.internet.break_server(server.name)
    assert ask(server, f"www.{ZONE}", "A").answer
    with pytest.raises(ValueError, match="no DNS server"):
        world.internet.break_server("ns9.example.", mute=True)


def test_the_client_is_told_why_when_it_speaks_edns():
    """An extended error stands in a reply to a client that can read it, and in no other."""
    world = SmallWorld()
    for number in (0, 1):
        world.internet.break_zone(world.servers("vercel")[number], ZONE, "refused")
    reply = ask(world.resolver(1), f"www.{ZONE}", "A")
    assert [one.code for one in reply.options] == [dns.edns.EDECode.NO_REACHABLE_AUTHORITY]
    plain = dns.message.make_query(f"www.{ZONE}", "A", use_edns=False)
    assert dns.message.from_wire(world.resolver(1).handle(plain.to_wire())).edns == -1


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param(f"www.{ZONE}", "A", id="an address"),
        pytest.param(f"mIsSing.{ZONE}", "A", id="none, as somebody spells it"),
        pytest.param(ZONE, "NS", id="two records"),
        pytest.param(f"big.{ZONE}", "TXT", id="too long for UDP"),
    ],
)
@pytest.mark.parametrize("edns", [0, False])
def test_an_answer_with_another_ttl_is_byte_for_byte_what_it_would_be(name, kind, edns, monkeypatch):
    """Every resolver, at every time, by UDP and TCP: the bytes are those of an answer put together anew."""
    world, drawn = big_world(), {}
    monkeypatch.setattr("runbook.sandbox.dns.wire._drawn", drawn)
    query = dns.message.make_query(name, kind, use_edns=edns)
    question = Question(to_name(name), query.question[0].rdtype, recurse=True)
    resolvers = [world.resolver(number) for number in range(1, 9)]
    for passes_s, tcp in itertools.product((0, 7, 40, 4_000), (False, True)):
        world.pass_s(passes_s)
        told = [one.handle(query.to_wire(), tcp=tcp) for one in resolvers]
        assert told == [one._bytes(query, one.reply(question), tcp=tcp) for one in resolvers]
    assert 0 < len(drawn) < len(resolvers)

"""Asking servers directly: every way to answer or not is told apart, and nothing hangs."""

import asyncio
import errno
import socket
import struct

import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.errors import InputError, StepFailed
from runbook.journal.codec import decode, encode
from runbook.providers.dns import DIRECT, PATIENT, Manner, Question, Server, ask, read_answers
from runbook.providers.dns.answers import outcome_of
from runbook.providers.dns.asking import _Line, finished
from runbook.sandbox.dns.zone import RecordSet, txt_value
from tests.dns_servers import answering, served
from tests.dns_worlds import NEW, OLD, ZONE

WWW = Question.of(f"www.{ZONE}", "A")
HASTY = Manner(timeout_s=0.05, attempts=2)  # where silence is what is expected


@pytest.fixture(scope="module")
def there():
    with served(resolvers=4) as there:
        zone = there.world.zones["vercel"]
        zone.put(
            RecordSet(f"big.{ZONE}", "TXT", 60, tuple(txt_value(f"{n:02d}" + "x" * 250) for n in range(30)))
        )
        zone.put(RecordSet(f"off.{ZONE}", "CNAME", 60, ("elsewhere.example.",)))
        zone.put(RecordSet(f"one.{ZONE}", "CNAME", 60, (f"www.{ZONE}",)))
        zone.put(RecordSet(f"nodata.{ZONE}", "CNAME", 60, (f"big.{ZONE}",)))
        zone.put(RecordSet(f"sub.{ZONE}", "NS", 60, ("ns.other.example.",)))
        yield there


def one(server, question, manner=PATIENT):
    return ask([(server, question)], manner=manner)[0]


def reply_to(wire, change=lambda _reply: None):
    reply = dns.message.make_response(dns.message.from_wire(wire))
    change(reply)
    return reply.to_wire()


@pytest.mark.parametrize(
    ("name", "kind", "outcome", "values"),
    [
        (f"www.{ZONE}", "A", "answer", (OLD,)),
        (f"WWW.{ZONE}", "a", "answer", (OLD,)),
        (f"www.{ZONE}", "AAAA", "nodata", ()),
        (f"missing.{ZONE}", "A", "nxdomain", ()),
        (f"off.{ZONE}", "A", "answer", ()),
        (f"one.{ZONE}", "A", "answer", (OLD,)),
        (f"nodata.{ZONE}", "A", "nodata", ()),
        (f"www.sub.{ZONE}", "A", "referral", ()),
        ("example.org.", "A", "refused", ()),
    ],
)
def test_a_nameservers_answers_are_told_apart(there, name, kind, outcome, values):
    """Answer, alias out of the zone, no data, no name, referral, refusal."""
    server = there.server(there.world.nameserver("vercel"))
    found = one(server, Question.of(name, kind, zone=ZONE), DIRECT)
    assert (found.outcome, found.values, found.attempts) == (outcome, values, 1)
    assert found.authoritative == (outcome not in ("referral", "refused"))


def test_a_resolvers_answer_shows_what_is_left(there):
    """TTLs count down at a resolver; how long "there is none" may be kept is told, too."""
    resolver = there.network.resolvers[0]
    assert one(resolver, WWW).ttl_s == 60
    there.world.pass_s(25)
    found = one(resolver, WWW)
    assert (found.ttl_s, found.authoritative, found.asked_at.tzinfo is not None) == (35, False, True)
    none = one(resolver, Question.of(f"missing.{ZONE}", "A"))
    assert none.ttl_s == there.world.zones["vercel"].soa.minimum_s


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [("refused", "refused"), ("lame", "lame"), ("servfail", "servfail"), ("silent", "timeout")],
)
def test_a_nameservers_faults_are_told_apart(there, fault, outcome):
    """REFUSED, lame, SERVFAIL and silence are four outcomes."""
    server = there.world.servers("cloudflare")[0]
    there.world.internet.break_zone(server, ZONE, fault)
    server_of_zone = there.server(there.world.nameserver("cloudflare"))
    manner = HASTY if fault == "silent" else PATIENT
    found = one(server_of_zone, Question.of(ZONE, "NS", zone=ZONE), manner)
    there.world.internet.mend_zone(server, ZONE)
    assert (found.outcome, found.is_silent) == (outcome, fault == "silent")
    assert found.attempts == (2 if fault == "silent" else 1)
    assert found.latency_ms is None or found.latency_ms > 0
    with pytest.raises(StepFailed, match="expected an answer"):
        found.require()


def test_a_resolver_says_why_it_has_no_answer(there):
    """Extended errors (RFC 8914) are kept with the answer."""
    for server in there.world.servers("vercel"):
        there.world.internet.break_zone(server, ZONE, "servfail")
    found = one(there.network.resolvers[1], Question.of(f"other.{ZONE}", "A"))
    for server in there.world.servers("vercel"):
        there.world.internet.mend_zone(server, ZONE)
    assert found.outcome == "servfail"
    assert found.said == ("no reachable authority: no server of the zone gives an answer",)
    assert "no reachable authority" in found.in_a_line()


def test_a_long_answer_is_fetched_over_tcp(there):
    """An answer cut short is asked for again, whole."""
    found = one(there.server(there.world.nameserver("vercel")), Question.of(f"big.{ZONE}", "TXT"))
    assert (found.outcome, found.over_tcp, len(found.values)) == ("answer", True, 30)


@pytest.mark.parametrize("fault", ["mute", "garbled"])
def test_a_server_that_makes_no_sense_is_not_one_that_is_silent(there, fault):
    """Bytes that are no message are "malformed" once the time is up, no bytes are "timeout"."""
    there.world.internet.break_server("resolver-03", **{fault: True})
    found = one(there.network.resolvers[2], WWW, HASTY)
    there.world.internet.break_server("resolver-03")
    assert found.outcome == {"mute": "timeout", "garbled": "malformed"}[fault]
    assert found.trouble


def test_a_port_where_nobody_listens_is_unreachable_at_once():
    """The system says so; nobody waits for a timeout."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    found = one(Server.parse(f"127.0.0.1:{port}"), WWW, Manner(timeout_s=60))
    assert (found.outcome, found.trouble) == ("unreachable", "Connection refused")


def test_an_address_without_a_way_is_unreachable(monkeypatch):
    """A socket that cannot be opened (no IPv6 here) is an answer, not an exception."""

    async def no_way(*_args, **_options):
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(asyncio.BaseEventLoop, "create_datagram_endpoint", no_way)
    found = one(Server.parse("2001:db8::1"), WWW)
    assert (found.outcome, found.trouble) == ("unreachable", "Network is unreachable")


def test_a_lost_packet_is_sent_again():
    """The first query goes unanswered, the second does not; the answer tells the number."""
    seen = []

    def second_time(wire):
        seen.append(wire)
        return [reply_to(wire)] if len(seen) > 1 else []

    with answering(second_time) as port:
        found = one(Server.parse(f"127.0.0.1:{port}"), WWW, Manner(timeout_s=0.2, attempts=20))
    assert found.outcome == "nodata"
    assert 2 <= found.attempts <= len(seen)


def forged(wire):
    """Return what a forger or a mixed-up server might send, and then the true reply."""
    other = dns.message.make_query("evil.example.", "A", id=int.from_bytes(wire[:2], "big"))
    wrong_id = bytes([wire[0] ^ 1]) + reply_to(wire)[1:]
    return [b"", b"x", wrong_id, wire, wire[:2] + b"\x80junk", reply_to(other.to_wire()), reply_to(wire)]


def test_what_does_not_fit_the_question_is_not_believed():
    """Wrong ID, wrong question, the query itself, junk: all passed over for the true reply behind them."""
    with answering(forged) as port:
        found = one(Server.parse(f"127.0.0.1:{port}"), WWW)
    assert (found.outcome, found.attempts) == ("nodata", 1)
    with answering(lambda wire: forged(wire)[:-1]) as port:
        found = one(Server.parse(f"127.0.0.1:{port}"), WWW, HASTY)
    assert (found.outcome, found.trouble) == ("malformed", "what came answers another question")


def test_a_refusal_without_the_question_is_believed():
    """A server that could not read a query may leave the question out of its error."""

    def bare(wire):
        def change(reply):
            reply.question = []
            reply.set_rcode(dns.rcode.FORMERR)

        return [reply_to(wire, change)]

    with answering(bare) as port:
        found = one(Server.parse(f"127.0.0.1:{port}"), WWW)
    assert (found.outcome, found.rcode) == ("other", "FORMERR")


def truncated(wire):
    def change(reply):
        reply.flags |= dns.flags.TC

    return [reply_to(wire, change)]


def read_query(connection):
    return connection.recv(struct.unpack("!H", connection.recv(2))[0])


@pytest.mark.parametrize(
    ("tcp", "outcome"),
    [
        pytest.param(None, "unreachable", id="nobody listens"),
        pytest.param(lambda connection: connection.recv(600), "unreachable", id="cut off"),
        pytest.param(
            lambda connection: (read_query(connection), connection.sendall(b"\0\x05hello")),
            "malformed",
            id="junk",
        ),
        pytest.param(lambda connection: (read_query(connection), connection.recv(1)), "timeout", id="silent"),
    ],
)
def test_what_happens_over_tcp_is_told_apart_too(tcp, outcome):
    """Cut short over UDP and no answer over TCP: the outcome is that of TCP, and says so."""
    manner = Manner(timeout_s=0.2 if outcome == "timeout" else 5.0, attempts=10)
    with answering(truncated, tcp=tcp) as port:
        found = one(Server.parse(f"127.0.0.1:{port}"), WWW, manner)
    assert (found.outcome, found.over_tcp) == (outcome, True)
    assert found.trouble.startswith("too long for UDP, and over TCP: ")


def test_many_questions_to_many_servers_come_back_in_order(there):
    """Server by server, in the questions' order, however few may be under way at once."""
    names = [f"host-{number}.{ZONE}" for number in range(60)]
    with there.world.zones["vercel"].change():
        for number, name in enumerate(names):
            there.world.zones["vercel"].put(RecordSet(name, "A", 60, (f"198.18.0.{number}",)))
    questions = [Question.of(name, "A") for name in names]
    for manner in (Manner(), Manner(at_once=3), Manner(per_server=1)):
        answers = read_answers(there.step, there.network.resolvers, questions, manner=manner)
        assert [(each.server.name, each.values[0]) for each in answers] == [
            (server.name, f"198.18.0.{number}") for server in there.network.resolvers for number in range(60)
        ]
    assert ask([]) == ()


def test_no_more_queries_are_under_way_than_the_manner_allows(there, monkeypatch):
    """A public resolver is not to be flooded: so many at one server, so many in all."""
    under_way, at_one = set(), []
    send, forget = _Line.send, _Line.forget

    def counted_send(line, wire):
        waiting = send(line, wire)
        under_way.add(id(waiting))
        at_one.append((len(line._open), len(under_way)))
        return waiting

    def counted_forget(line, waiting):
        under_way.discard(id(waiting))
        forget(line, waiting)

    monkeypatch.setattr(_Line, "send", counted_send)
    monkeypatch.setattr(_Line, "forget", counted_forget)
    questions = [Question.of(f"many-{number}.{ZONE}", "A") for number in range(30)]
    manner = Manner(per_server=4, at_once=10)
    read_answers(there.step, there.network.resolvers, questions, manner=manner)
    assert (max(one for one, _ in at_one), max(all_of_them for _, all_of_them in at_one)) == (4, 10)


def test_who_answers_without_authority_is_lame_as_a_nameserver(there):
    """A resolver knows the zone's data, too; as one of its nameservers it will not do."""
    resolver = there.network.resolvers[0]
    for name in (f"www.{ZONE}", f"missing.{ZONE}"):
        assert one(resolver, Question.of(name, "A", zone=ZONE)).outcome == "lame"


def test_a_silent_server_does_not_hold_up_the_others(there):
    """One of four is mute: three answer, one is a timeout."""
    there.world.internet.break_server("resolver-04", mute=True)
    manner = Manner(timeout_s=0.5, attempts=1)
    answers = read_answers(there.step, there.network.resolvers, [WWW], manner=manner)
    there.world.internet.break_server("resolver-04")
    assert [each.outcome for each in answers] == ["answer"] * 3 + ["timeout"]


def test_it_works_inside_a_running_event_loop(there):
    """A notebook's kernel has a loop of its own; asking does not need it."""

    async def cell():
        return one(there.network.resolvers[0], WWW).outcome

    assert asyncio.run(cell()) == "answer"

    async def fails():
        raise StepFailed("as told")

    async def cell_that_fails():
        return finished(fails())

    with pytest.raises(StepFailed, match="as told"):
        asyncio.run(cell_that_fails())


def test_flags_say_how_it_is_asked(there):
    """Recursion, DNSSEC and "do not check" are asked for as the manner says."""
    heard = []

    def listen(wire):
        heard.append(dns.message.from_wire(wire))
        return [reply_to(wire)]

    with answering(listen) as port:
        server = Server.parse(f"127.0.0.1:{port}")
        for manner in (Manner(), DIRECT, Manner(dnssec=True, unchecked=True)):
            one(server, WWW, manner)
    flags = [
        (bool(q.flags & dns.flags.RD), bool(q.flags & dns.flags.CD), bool(q.ednsflags & dns.flags.DO))
        for q in heard
    ]
    assert flags == [(True, False, False), (False, False, False), (True, True, True)]
    assert {q.payload for q in heard} == {1_232}


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80))
def test_no_message_breaks_the_judgement(tail):
    """Any message that can be read gets an outcome."""
    query = dns.message.make_query(f"www.{ZONE}", "A")
    wire = query.to_wire()
    try:
        message = dns.message.from_wire(wire[:2] + tail[:10] + wire[12:] + tail[10:], ignore_trailing=True)
    except (dns.exception.DNSException, ValueError):
        return
    for question in (WWW, Question.of(f"www.{ZONE}", "A", zone=ZONE)):
        assert outcome_of(message, question)


def test_answers_go_on_record_and_come_back(there):
    """An answer is a Value: the journal keeps it whole."""
    found = one(there.network.resolvers[0], Question.of(ZONE, "NS"))
    assert decode(encode(found)) == found
    assert set(found.values) == set(there.world.servers("vercel"))
    assert NEW not in repr(found)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("8.8.8.8", "8.8.8.8", 53),
        ("127.0.0.1:5300", "127.0.0.1", 5300),
        ("2001:db8::1", "2001:db8::1", 53),
        ("[2001:db8::1]", "2001:db8::1", 53),
        ("[2001:db8::1]:5300", "2001:db8::1", 5300),
    ],
)
def test_servers_are_read_as_people_write_them(text, host, port):
    """IPv4 and IPv6, with and without a port."""
    found = Server.parse(text, name="x")
    assert (found.host, found.port) == (host, port)
    assert host in found.in_a_line()


@pytest.mark.parametrize(
    "text", ["", "dns.google", "8.8.8.8:dns", "8.8.8.8:0", "8.8.8.8:65536", "8.8.8", ":53"]
)
def test_what_is_no_server_is_refused(text):
    """The message shows what would be right."""
    with pytest.raises(InputError, match=r"right would be 8\.8\.8\.8"):
        Server.parse(text)


def test_what_cannot_be_asked_is_refused():
    """A type or a name that does not exist is the caller's mistake."""
    with pytest.raises(InputError, match="nothing to ask"):
        Question.of(ZONE, "BOGUS")
    with pytest.raises(InputError, match="nothing to ask"):
        Question.of("a..b", "A")

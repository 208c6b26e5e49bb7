"""Zones as Vercel holds them: a hand-written one of everything nasty, and generated ones of any size."""

import string

from hypothesis import strategies as st

from runbook.sandbox.vendors.vercel.zonefile import record

DOMAIN = "omnihub.dev"
LONG_KEY = "v=DKIM1; k=rsa; p=" + "MIIBIjANBgkqhkiG9w0BAQEF+/" * 40

# name, type, value, TTL in seconds, priority: as Vercel lists them
NASTY = [
    # the apex: an own address puts out the system's alias
    ("", "A", "203.0.113.7", 60, None),
    ("", "AAAA", "2001:0DB8:0:0:0:0:0:7", 2147483647, None),
    ("", "MX", "mx1.mail.example.", 86400, 10),
    ("", "MX", "MX2.Mail.Example", 86400, 10),
    ("", "TXT", "v=spf1 -all", 3600, None),
    ("", "TXT", "", 3600, None),
    ("", "TXT", '"in quotes"', 3600, None),
    ("", "TXT", 'half a "quote', 3600, None),
    ("", "TXT", "back\\slash \\034 and \\", 3600, None),
    ("", "TXT", "semi;colon; ", 3600, None),
    ("", "TXT", "  spaces at both ends  ", 3600, None),
    ("", "TXT", "tab\tand\nline end", 3600, None),
    ("", "CAA", '0 issue "letsencrypt.org"', 3600, None),
    ("", "CAA", '128 issuewild ""', 3600, None),
    ("", "CAA", '0 iodef "mailto:security@omnihub.dev"', 3600, None),
    ("", "HTTPS", ". alpn=h2,h3 ipv4hint=203.0.113.7", 300, 1),
    ("", "SRV", "0 0 .", 300, 0),
    # long, unicode, almost the same
    ("s1._domainkey", "TXT", LONG_KEY, 3600, None),
    ("long", "TXT", "x" * 255, 3600, None),
    ("long", "TXT", "x" * 256, 3600, None),
    ("long", "TXT", "x" * 510, 3600, None),
    ("unicode", "TXT", "Grüße aus München \N{PARTY POPPER} \N{NO-BREAK SPACE}", 3600, None),
    ("_dmarc", "TXT", "v=DMARC1; p=none; rua=mailto:d@omnihub.dev!10m", 3600, None),
    # services
    ("_sip._tcp", "SRV", "5 5061 sip.omnihub.dev.", 3600, 10),
    ("_sip._tcp", "SRV", "10 65535 SIP2.omnihub.dev", 3600, 65535),
    ("svc", "HTTPS", "svc.elsewhere.example.", 3600, 0),
    ("nomail", "MX", ".", 3600, 0),
    # wildcards, also beside names they do not cover
    ("*", "A", "203.0.113.10", 60, None),
    ("*", "TXT", "for everybody", 60, None),
    ("*.preview", "CNAME", "cname.vercel-dns.com.", 60, None),
    ("one.preview", "A", "203.0.113.8", 60, None),
    ("*.deep.down", "A", "203.0.113.9", 60, None),
    # other alphabets, capital letters, underscores, digits
    ("xn--mnchen-3ya", "A", "203.0.113.41", 3600, None),
    ("xn--fiqs8s", "CNAME", "xn--mnchen-3ya.omnihub.dev", 3600, None),
    ("CAPITALS", "CNAME", "Cname.Vercel-DNS.com", 60, None),
    ("_acme-challenge.www2", "TXT", "a-_b", 60, None),
    ("7", "A", "203.0.113.77", 60, None),
    ("a.b.c.d.e.f.g.h", "A", "203.0.113.78", 61, None),
    ("x" * 63, "A", "203.0.113.79", 86401, None),
    # an alias below the apex, alone at its name
    ("alias", "ALIAS", "cname.vercel-dns.com.", 300, None),
    # another zone begins here, and what stands below it is only glue
    ("sub", "NS", "ns1.sub.omnihub.dev.", 3600, None),
    ("sub", "NS", "ns.elsewhere.example.", 3600, None),
    ("ns1.sub", "A", "203.0.113.53", 3600, None),
]


def rows(listed=NASTY):
    """Return records as the emulator keeps them."""
    return [record(DOMAIN, *row) for row in listed]


LABEL = st.one_of(
    st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=12),
    st.sampled_from(["_dmarc", "_tcp", "_domainkey", "xn--mnchen-3ya", "a-b", "_", "0", "www", "deep"]),
)
NAME = st.lists(LABEL, min_size=1, max_size=4).map(".".join)
ELSEWHERE = NAME.map(lambda name: f"{name.replace('_', 'u')}.example.")
HOST = st.one_of(
    ELSEWHERE,
    NAME.map(lambda name: f"{name.replace('_', 'u')}.omnihub.dev."),
)
TTL = st.one_of(
    st.sampled_from([60, 61, 299, 300, 301, 3600, 86400, 86401, 2147483647]), st.integers(60, 10**6)
)
PRIORITY = st.integers(0, 65535)
TEXT = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=600),
    st.text(string.printable, max_size=300),
    st.sampled_from(['"', "\\", '""', "\\034", ";", " ", "\\\\", "a\\"]),
)
ISSUER = st.sampled_from(["letsencrypt.org", "pki.goog", "ssl.com", "", ";"])
CAA = st.one_of(
    ISSUER.filter(lambda one: ";" not in one).map(lambda one: f'0 issue "{one}"'),
    st.just('128 issuewild "pki.goog"'),
    st.just('0 iodef "mailto:security@omnihub.dev"'),
)
VALUES = {
    "A": st.ip_addresses(v=4).map(str),
    "AAAA": st.ip_addresses(v=6).map(str),
    "TXT": TEXT,
    "MX": HOST,
    "CAA": CAA,
    "SRV": st.builds("{} {} {}".format, PRIORITY, PRIORITY, HOST),
    "HTTPS": st.one_of(st.just(". alpn=h2"), HOST.map(lambda host: f"{host} alpn=h3,h2 port=8443")),
}
FIRST = {"MX": PRIORITY, "SRV": PRIORITY, "HTTPS": st.integers(1, 65535)}  # 0 would be an alias, without more


@st.composite
def sets_at(draw, name):
    """Draw what stands at one name, as a zone may hold it."""
    shape = draw(st.sampled_from(["plain", "plain", "plain", "CNAME", "ALIAS", "NS"] if name else ["plain"]))
    if shape == "NS" and not name.startswith("*"):
        hosts = draw(st.lists(HOST, min_size=1, max_size=3, unique=True))
        ttl_s = draw(TTL)
        return [(name, "NS", host, ttl_s, None) for host in hosts]
    if shape in ("CNAME", "ALIAS"):
        target = draw(HOST if shape == "CNAME" else ELSEWHERE)  # an alias of itself has no answer anywhere
        return [(name, shape, target, draw(TTL), None)]
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=4, unique=True))
    found = []
    for kind in kinds:
        for value in draw(st.lists(VALUES[kind], min_size=1, max_size=3, unique=True)):
            priority = draw(FIRST[kind]) if kind in FIRST else None
            found.append((name, kind, value, draw(TTL), priority))
    return found


@st.composite
def zones(draw, names=8):
    """Draw a zone's own records, as Vercel lists them."""
    wild = NAME.map(lambda name: f"*.{name}")
    at = draw(
        st.lists(
            st.one_of(NAME, NAME, wild, st.just(""), st.just("*")), min_size=1, max_size=names, unique=True
        )
    )
    return [row for name in at for row in draw(sets_at(name))]


def many(count):
    """Return a zone of `count` own records of every type, the same each time."""
    kinds = [
        ("A", lambda n: f"198.51.{n // 250 % 250}.{n % 250}", None),
        ("TXT", lambda n: f'token-{n}="{n * 7919}"; ' + "k" * (n % 300), None),
        ("CNAME", lambda n: f"target-{n}.example.", None),
        ("AAAA", lambda n: f"2001:db8::{n:x}", None),
        ("MX", lambda n: f"mx{n}.mail.example.", 10),
        ("SRV", lambda n: f"5 {1024 + n % 60000} host-{n}.example.", 10),
        ("CAA", lambda n: f'0 issue "ca-{n}.example"', None),
        ("HTTPS", lambda n: f"edge-{n}.example. alpn=h2,h3", 1),
    ]
    found = []
    for number in range(count):
        kind, value, priority = kinds[number % len(kinds)]
        name = f"name-{number}" if number % 50 else f"*.wild-{number}"
        found.append((name, kind, value(number), (60, 300, 3600, 14400)[number % 4], priority))
    return found

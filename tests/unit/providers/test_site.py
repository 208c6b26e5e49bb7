"""A page is asked for at one address under its own name, and what is wrong with it is told, never raised."""

import ssl
from urllib.parse import urlsplit

import pytest
import requests

from runbook.errors import VendorRefused
from runbook.providers.dialect import Dialect
from runbook.providers.dns import Network
from runbook.providers.http import Http
from runbook.providers.lines import Pinned
from runbook.providers.site import Page, visit
from tests.unit.providers.conftest import NOON

PAGE = Page(host="www.omnihub.dev", path="/health", says="OmniHub")
ADDRESS = "203.0.113.21"


@pytest.fixture
def network(url):
    """Lead the address to the server of the test, as the sandbox's site does."""
    return Network.of(["127.0.0.1"], routes={ADDRESS: urlsplit(url).netloc})


def visited(network, address=ADDRESS):
    return visit(network, PAGE, address, at=NOON, timeout_s=0.5)


def test_the_address_is_asked_under_the_pages_own_name(network, script):
    """Whatever the DNS says of the name: Host is the page's, the connection goes where it was told to."""
    script.say(200, b"<h1>OmniHub</h1>")
    found = visited(network)
    assert found.ok
    assert (found.status, found.address) == (200, ADDRESS)
    method, path, headers, _ = script.seen[0]
    assert (method, path, headers["Host"]) == ("GET", "/health", "www.omnihub.dev")


@pytest.mark.parametrize(
    ("status", "body", "trouble"),
    [
        (525, b"error code: 525", "HTTP 525"),
        (404, b"OmniHub is not here", "HTTP 404"),
        (200, b"a parked domain", "it does not say “OmniHub”"),
    ],
)
def test_what_a_visitor_would_call_broken_is(network, script, status, body, trouble):
    """An error, or a page that is somebody else's: once, without a second try that might hide it."""
    script.say(status, body)
    found = visited(network)
    assert (found.status, found.trouble) == (status, trouble)
    assert len(script.seen) == 1


def test_a_connection_that_ends_is_a_failed_visit(network, script):
    """As where a handshake fails: it is told in words, and no address of ours or query stands in them."""
    script.cut()
    found = visited(network)
    assert found.status is None
    assert "the connection ended" in found.trouble


def test_a_redirect_elsewhere_is_not_followed(network, script):
    """It might lead to the other side, and show its health for this one's."""
    script.say(302, b"", Location="https://elsewhere.example/")
    assert "redirects" in visited(network).trouble


def test_nobody_listening_is_a_failed_visit(network):
    """An address that leads nowhere."""
    nowhere = Network.of(["127.0.0.1"], routes={ADDRESS: "127.0.0.1:1"})
    assert visited(nowhere).trouble == "no connection"


def test_over_tls_the_name_in_the_handshake_and_the_certificate_are_still_the_hosts():
    """Only where the connection goes is pinned: verification is on, and is of the page's name."""
    adapter = Pinned(ADDRESS, 443)
    request = requests.Request("GET", "https://www.omnihub.dev/").prepare()
    pool = adapter.get_connection_with_tls_context(request, verify=True)
    assert (pool.host, pool.port, pool.scheme) == (ADDRESS, 443, "https")
    assert pool.conn_kw["server_hostname"] == "www.omnihub.dev"
    assert pool.cert_reqs in (ssl.CERT_REQUIRED, "CERT_REQUIRED")
    assert pool.assert_hostname is None  # not False, which would check no name
    adapter.close()


def test_what_is_pinned_to_an_address_out_there_speaks_https_or_nothing(clock):
    """Plain HTTP is for this machine's own ports."""
    with pytest.raises(VendorRefused, match="not https"):
        Http(Dialect(vendor="site", mount=""), "http://www.omnihub.dev", clock, pinned=(ADDRESS, 80))

"""An XML body is held against its description like a JSON one: what is missing, more, or another is found."""

import json

import pytest

from tests.contract.description import Description
from tests.contract.wire import Exchange

SPACE = "http://example.com/x"
LIST = {"type": "array", "items": {"type": "string"}}
THING = {
    "type": "object",
    "properties": {"On": {"type": "boolean", "xml": {"attribute": True}}, "Name": LIST},
    "required": ["On"],
}
ROOT = {
    "type": "object",
    "properties": {"Status": {"type": "string", "enum": ["OK"]}, "Thing": THING, "Said": {"type": "string"}},
    "required": ["Status"],
    "xml": {"name": "Reply", "namespace": SPACE},
}
DOCUMENT = {
    "openapi": "3.0.3",
    "info": {"title": "toy", "version": "1"},
    "paths": {
        "/x": {"get": {"responses": {"200": {"description": "", "content": {"text/xml": {"schema": ROOT}}}}}}
    },
}


@pytest.fixture
def wrongs(tmp_path):
    path = tmp_path / "toy.openapi.json"
    path.write_text(json.dumps(DOCUMENT))
    described = Description(path, "/toy")

    def judge(inside, *, status="OK", space=SPACE, name="Reply"):
        body = f'<{name} xmlns="{space}" Status="{status}">{inside}</{name}>'
        exchange = Exchange("", "", "", "GET", "/toy/x", [], {}, b"", 200, "text/xml", {}, body.encode())
        return described.wrongs_of_reply(exchange)

    return judge


@pytest.mark.parametrize(
    "inside",
    ["", "<Said>yes</Said>", '<Thing On="true"><Name>a</Name><Name>b</Name></Thing>', '<Thing On="false"/>'],
)
def test_what_is_described_is_well(wrongs, inside):
    """Attributes, text, lists of any length, booleans."""
    assert wrongs(inside) == []


@pytest.mark.parametrize(
    ("inside", "more", "says"),
    [
        ("", {"status": "MAYBE"}, "Status"),
        ("<Thing/>", {}, "required"),
        ('<Thing On="perhaps"/>', {}, "boolean"),
        ('<Thing On="true" Off="true"/>', {}, "'Off' was unexpected"),
        ("<Other/>", {}, "'Other' was unexpected"),
        ("<Said>yes<b/></Said>", {}, "Said"),
        ("", {"space": "http://example.com/y"}, "the root is"),
        ("", {"name": "Other"}, "the root is"),
        ("<Said>", {}, "no XML"),
    ],
)
def test_what_is_not_described_is_found(wrongs, inside, more, says):
    """Unknown and missing ones, another type, another value, another root, no XML at all."""
    assert says in "".join(wrongs(inside, **more))

"""Hold what crossed the wire against a vendor's own OpenAPI description: nothing missing, nothing more."""

import json
from functools import cached_property
from urllib.parse import parse_qsl, urlencode

import jsonschema_rs
from openapi_core import OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.templating.paths.exceptions import PathError
from openapi_core.templating.paths.finders import APICallPathFinder
from werkzeug.datastructures import Headers, ImmutableMultiDict

from tests.contract.closing import DIALECT, Closing, allow_required, resolved
from tests.contract.xml_data import xml_data

HOST = "http://world"
METHODS = ("get", "put", "post", "delete", "patch")


class Description:
    """One `*.openapi.json`, served in the sandbox below `prefix`."""

    def __init__(self, path, prefix):
        self._document = json.loads(path.read_text())
        self.name, self.prefix = path.name.removesuffix(".openapi.json"), self._above(prefix)
        self._document["servers"] = [{"url": HOST + self.prefix}]
        for item in self._document["paths"].values():
            item.pop("servers", None)
            for method in METHODS:
                item.get(method, {}).pop("servers", None)
        allow_required(self._document)
        self._validators, self._known = {}, {}

    def _above(self, prefix):
        """Return what stands before the paths as they are described: some begin with a part of the prefix."""
        head, tail = prefix, ""
        while "/" in head:
            head, _, last = head.rpartition("/")
            tail = f"/{last}{tail}"
            if all(path.startswith(tail + "/") for path in self._document["paths"]):
                return head
        return prefix

    @cached_property
    def _openapi(self):
        return OpenAPI.from_dict(self._document)

    @cached_property
    def _finder(self):
        return APICallPathFinder(self._openapi.spec, base_url=None)

    @cached_property
    def _registries(self):
        documents = {side: Closing(self._document, side).document() for side in ("request", "reply")}
        return {
            side: jsonschema_rs.Registry([(f"urn:{side}", document)], draft=jsonschema_rs.Draft202012)
            for side, document in documents.items()
        }

    def operations(self):
        """Return every operation as (method, path)."""
        return [(m.upper(), p) for p, item in self._document["paths"].items() for m in METHODS if m in item]

    def operation(self, method, path):
        """Return the (METHOD, template) that a call belongs to, or None."""
        if (method, path) not in self._known:
            self._known[method, path] = self._find(method, path)
        return self._known[method, path]

    def _find(self, method, path):
        try:
            found = self._finder.find(method.lower(), HOST + path)
        except PathError:
            return None
        return method.upper(), found.path_result.pattern.removeprefix(HOST + self.prefix)

    def wrongs_of_request(self, exchange):
        """Return what in a request is not as described."""
        operation = self.operation(exchange.method, exchange.path)
        if operation is None:
            return ["no such operation"]
        wrongs = [_words(error) for error in self._openapi.iter_request_errors(_Request(exchange))]
        method, template = operation
        item = self._document["paths"][template]
        described = item[method.lower()]
        known = {p["name"] for p in self._parameters(item, described) if p["in"] == "query"}
        known |= self._keys_in_query(described)
        wrongs += [f"unknown query parameter {name}" for name, _ in exchange.query if name not in known]
        return wrongs + self._wrongs_of_body(exchange, "request", template, method)

    def wrongs_of_reply(self, exchange):
        """Return what in a reply is not as described; an undescribed error status may have any body."""
        operation = self.operation(exchange.method, exchange.path)
        if operation is None:
            return []
        return self._wrongs_of_body(exchange, "reply", operation[1], operation[0])

    def _parameters(self, item, described):
        return [self._resolved(p) for p in (*item.get("parameters", ()), *described.get("parameters", ()))]

    def _keys_in_query(self, described):
        schemes = self._document.get("components", {}).get("securitySchemes", {})
        wanted = described.get("security", self._document.get("security", []))
        used = [schemes.get(name, {}) for option in wanted for name in option]
        return {scheme["name"] for scheme in used if scheme.get("in") == "query"}

    def _resolved(self, node):
        return resolved(self._document, node)

    def _wrongs_of_body(self, exchange, side, template, method):
        described = self._document["paths"][template][method.lower()]
        if side == "request":
            node = self._resolved(described.get("requestBody", {}))
            body, kind = exchange.body, exchange.headers.get("content-type", "")
            if not body:
                return ["a body is required"] if node.get("required") else []
        else:
            codes = described["responses"]
            status = str(exchange.status)
            code = next((c for c in (status, f"{status[0]}XX", "default") if c in codes), None)
            if code is None:
                return [] if exchange.status >= 400 else [f"status {status} is not described"]
            node = self._resolved(codes[code])
            body, kind = exchange.reply, exchange.content_type
        media = kind.partition(";")[0].strip() or "application/json"
        content = node.get("content", {})
        fitting = next((name for name in (kind, media, "*/*") if name in content), None)
        if fitting is None:
            return [f"content type {media} is not described"] if content and body else []
        schema = content[fitting].get("schema")
        if schema is not None and media.endswith("xml"):
            return self._wrongs_of_xml(body, side, schema)
        if media == "application/jsonl":
            return self._wrongs_of_lines(body)
        if schema is None or "json" not in media:
            return self._wrongs_of_form(body, schema, media)
        try:
            data = json.loads(body)
        except ValueError:
            return [f"the {side} is no JSON"]
        return self._wrongs(data, side, schema)

    @staticmethod
    def _wrongs_of_lines(body):
        """A stream of JSON objects, one a line; the description says no more of it than that it is text."""
        try:
            rows = [json.loads(line) for line in body.splitlines()]
        except ValueError:
            return ["a line of the reply is no JSON"]
        return [] if all(isinstance(row, dict) for row in rows) else ["a line of the reply is no object"]

    def _wrongs_of_xml(self, body, side, schema):
        try:
            data = xml_data(body, self._document, schema)
        except ValueError as error:
            return [f"the {side}: {error}"]
        return self._wrongs(data, side, schema)

    def _wrongs_of_form(self, body, schema, media):
        if schema is None or media != "application/x-www-form-urlencoded":
            return []
        properties = self._resolved(schema).get("properties", {})
        sent = dict(parse_qsl(body.decode(), keep_blank_values=True))
        missing = [name for name in self._resolved(schema).get("required", ()) if name not in sent]
        unknown = [name for name in sent if name not in properties]
        return [f"form: {name} is missing" for name in missing] + [
            f"form: unknown {name}" for name in unknown
        ]

    def _wrongs(self, data, side, schema):
        key = side, json.dumps(schema, sort_keys=True)
        if key not in self._validators:
            closed = Closing(self._document, side, base=f"urn:{side}").schema(schema, own=True)
            self._validators[key] = jsonschema_rs.Draft202012Validator(
                {"$schema": DIALECT, **closed}, registry=self._registries[side], validate_formats=True
            )
        return [
            f"{side}: {'.'.join(map(str, error.instance_path)) or 'the body'}: {str(error.message)[:300]}"
            for error in self._validators[key].iter_errors(data)
        ]


class _Request:
    """An exchange as openapi-core wants to see a request. Bodies are ours to check: they are left out."""

    def __init__(self, exchange):
        self.host_url, self.path, self.method = HOST, exchange.path, exchange.method.lower()
        self.parameters = RequestParameters(
            query=ImmutableMultiDict(exchange.query),
            header=Headers(list(exchange.headers.items())),
            cookie={},
        )
        self.content_type = exchange.headers.get("content-type", "").partition(";")[0]
        self.body = exchange.body or None
        self.full_url_pattern = (
            HOST + exchange.path + ("?" + urlencode(exchange.query) if exchange.query else "")
        )


def _words(error):
    cause = error.__cause__
    return f"request: {error}" + (f" ({str(cause)[:200]})" if cause else "")

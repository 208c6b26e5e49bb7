"""Turns a description's schemas into closed JSON Schemas: nothing missing, and nothing that it does not name.

A description says which fields there are; almost none says that there are no others. Here every object at a
place of its own (a body, a property, an item) is closed, across allOf and $ref, by `unevaluatedProperties`.
`oneOf` is read as `anyOf`: a reply that fits one of the shapes fits.
"""

DIALECT = "https://json-schema.org/draft/2020-12/schema"
COMPOSED = ("allOf", "anyOf", "oneOf")
LEFT_OUT = ("example", "examples", "discriminator", "nullable", "xml", "default")
DEPTH_AT_MOST = 12


def resolved(document, node):
    """Follow `$ref`s inside a document to what they stand for."""
    while "$ref" in node:
        target = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            target = target[int(name)] if isinstance(target, list) else target[name]
        node = target
    return node


def allow_required(node):
    """Let what an object requires be one of its fields: Vercel requires names that it then does not admit."""
    if isinstance(node, list):
        for item in node:
            allow_required(item)
    elif isinstance(node, dict):
        fields, required = node.get("properties"), node.get("required")
        if (
            isinstance(fields, dict)
            and isinstance(required, list)
            and not node.get("additionalProperties", True)
        ):
            fields.update({name: {} for name in required if name not in fields})
        for item in node.values():
            allow_required(item)


class Closing:
    """Turns OpenAPI 3.0 schemas into closed JSON Schemas of 2020-12, for one side of the wire."""

    def __init__(self, document, side, *, base=""):
        self._document, self._base = document, base
        self._absent = "readOnly" if side == "request" else "writeOnly"

    def document(self):
        return {"$schema": DIALECT, **self._walk(self._document)}

    def _walk(self, node):
        if isinstance(node, list):
            return [self._walk(item) for item in node]
        if not isinstance(node, dict):
            return node
        done = {}
        for key, value in node.items():
            if key == "schema" and isinstance(value, dict):
                done[key] = self.schema(value, own=True)
            elif key == "schemas" and isinstance(value, dict):
                done[key] = {name: self.schema(item, own=False) for name, item in value.items()}
            elif key not in ("example", "examples"):
                done[key] = self._walk(value)
        return done

    def schema(self, schema, *, own):
        """Return a schema converted; `own` when it stands at a place of its own, not as a part of another."""
        if not isinstance(schema, dict):
            return schema
        done = {"$ref": self._base + schema["$ref"]} if "$ref" in schema else self._plain(schema)
        if own and self._names_fields(schema):
            done = {**done, "unevaluatedProperties": False}
        if schema.get("nullable") and "$ref" not in schema:
            done = {"anyOf": [done, {"type": "null"}]}
        return done

    def _plain(self, schema):
        done = {}
        for key, value in schema.items():
            if key == "properties":
                done[key] = {name: self.schema(item, own=True) for name, item in value.items()}
            elif key in ("items", "additionalProperties", "not"):
                done[key] = self.schema(value, own=key != "not")
            elif key in COMPOSED:
                parts = [self.schema(item, own=False) for item in value]
                done["allOf" if key == "allOf" else "anyOf"] = parts
            elif key == "required" and isinstance(value, list):
                done[key] = [name for name in value if not self._is_absent(schema, name)]
            elif key not in LEFT_OUT:
                done[key] = value
        self._mend_limits(done)
        if schema.get("nullable") and "enum" in done:
            done["enum"] = [item for item in done["enum"] if item is not None] or [None]
        return done

    @staticmethod
    def _mend_limits(done):
        """OpenAPI 3.0 says `exclusiveMinimum: true` beside a minimum; JSON Schema names the limit itself."""
        for key, beside in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            if done.pop(key, False) is True:
                done[key] = done.pop(beside)

    def _is_absent(self, schema, name):
        field = schema.get("properties", {}).get(name, {})
        return isinstance(field, dict) and field.get(self._absent)

    def _names_fields(self, schema, depth=0):
        """Whether a schema says which fields an object has; one that says nothing stays open."""
        if depth > DEPTH_AT_MOST or not isinstance(schema, dict):
            return False
        if "$ref" in schema:
            return self._names_fields(resolved(self._document, schema), depth + 1)
        if "additionalProperties" in schema and schema["additionalProperties"] is not False:
            return False
        if schema.get("properties"):
            return True
        parts = [part for key in COMPOSED for part in schema.get(key, ())]
        return any(self._names_fields(part, depth + 1) for part in parts)

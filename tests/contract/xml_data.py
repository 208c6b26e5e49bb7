"""An XML body as the data that its OpenAPI schema speaks of: attributes, elements, lists, booleans, text.

What the schema does not name is in the data all the same, under its own name, so that it is found out.
"""

import defusedxml.ElementTree

from tests.contract.closing import resolved

TEXT = "value"  # the name that a description gives an element's own text


def xml_data(body, document, schema):
    """Return a body as data; ValueError when it is no XML or its root is another than the schema's."""
    try:
        root = defusedxml.ElementTree.fromstring(body, forbid_dtd=True)
    except (defusedxml.ElementTree.ParseError, defusedxml.DefusedXmlException) as error:
        raise ValueError(f"no XML: {error}") from error
    named = resolved(document, schema).get("xml", {})
    space = f"{{{named['namespace']}}}" if "namespace" in named else ""
    if root.tag != space + named["name"]:
        raise ValueError(f"the root is {root.tag}")
    return _data(root, document, schema, space)


def _data(element, document, schema, space):
    schema = resolved(document, schema)
    properties, text = schema.get("properties", {}), (element.text or "").strip()
    if schema.get("type") != "object" and not len(element) and not element.attrib:
        return _typed(text, schema)
    found = {name: _typed(value, properties.get(name, {})) for name, value in element.attrib.items()}
    for child in element:
        name = child.tag.removeprefix(space)
        inner = resolved(document, properties.get(name, {}))
        if inner.get("type") == "array":
            found.setdefault(name, []).append(_data(child, document, inner["items"], space))
        else:
            found[name] = _data(child, document, inner, space)
    return found | ({TEXT: text} if text else {})


def _typed(text, schema):
    if schema.get("type") == "boolean" and text in ("true", "false"):
        return text == "true"
    if schema.get("type") in ("integer", "number") and text.lstrip("-").isdigit():
        return int(text)
    return text

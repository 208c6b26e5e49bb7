"""Charts out of a notebook's outputs: as files of their own, and inline in the report, in its colours."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from xml.etree import ElementTree as ET

from runbook.charts.theme import PALETTE
from runbook.report.clean import plain

_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ELEMENTS = _names(
    "svg g path rect circle ellipse line polyline polygon text tspan defs clipPath use pattern marker "
    "linearGradient radialGradient stop symbol image"
)
_ATTRIBUTES = _names(
    "d x y x1 y1 x2 y2 cx cy r rx ry fx fy dx dy width height points transform offset viewBox "
    "preserveAspectRatio patternUnits patternTransform patternContentUnits gradientUnits gradientTransform "
    "clipPathUnits markerWidth markerHeight refX refY orient"
)
_LOOKS = _names(
    "fill stroke stroke-width stroke-linecap stroke-linejoin stroke-dasharray stroke-dashoffset "
    "stroke-miterlimit stroke-opacity fill-opacity fill-rule opacity font-size font-family font-weight "
    "font-style text-anchor stop-color stop-opacity clip-path clip-rule dominant-baseline"
)
_LOCAL = re.compile(r"url\(#([\w.:-]+)\)")
_VALUE = re.compile(r"[\w\s.,%#'+-]*|rgba?\([\d\s.,%]+\)")
_DATA_IMAGE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=\s]+")
_VARIABLE = {colour: f"var(--rb-{name}, {colour})" for name, colour in PALETTE.items()}


@dataclass(frozen=True)
class Chart:
    """A chart as recorded: its slug, the sentence that says what it shows, and its text or base64."""

    name: str
    alt: str
    svg: str = ""
    png: str = ""

    def content(self) -> bytes:
        """Return the chart as a file holds it."""
        return self.svg.encode("utf-8", "replace") if self.svg else base64.b64decode(self.png)


def slug(name: str) -> str:
    """Return a name fit for a file: lower-case letters, digits and dashes, 60 at most."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "chart"


def chart_name(place: int, chart: Chart) -> str:
    """Return the file name of the run's `place`-th chart, counted from 1."""
    return f"{place:02}-{slug(chart.name)}.{'svg' if chart.svg else 'png'}"


def inline(chart: Chart, *, place: int) -> str | None:
    """Return HTML that shows the run's `place`-th chart, with its alt text; None when it is unreadable."""
    if chart.png:
        compact = re.sub(r"\s+", "", chart.png)
        alt = escape(plain(chart.alt), quote=True)
        found = re.fullmatch(r"[A-Za-z0-9+/=]+", compact)
        return f'<img src="data:image/png;base64,{compact}" alt="{alt}">' if found else None
    root = _parsed(chart.svg)
    return None if root is None else "".join(_written(root, alt=chart.alt, prefix=f"c{place}-"))


def _parsed(svg: str) -> ET.Element | None:
    """Read an SVG; one that declares entities, or is none, is not read at all."""
    start = svg.find("<svg")
    body = svg[start:] if start >= 0 else ""
    if not body or "<!ENTITY" in svg or "<!DOCTYPE" in body:
        return None
    try:
        root = ET.fromstring(body)  # noqa: S314  # no entities, as looked at above
    except ET.ParseError:
        return None
    return root if root.tag == f"{_SVG}svg" else None


def _written(root: ET.Element, *, alt: str, prefix: str) -> Iterator[str]:
    """Write an SVG anew from what is allowed, with ids of its own and the report's colours."""
    box = root.get("viewBox") or f"0 0 {_number(root.get('width'))} {_number(root.get('height'))}"
    # What matplotlib says for all elements in a style sheet, which would reach the whole page.
    lines = "stroke-linejoin: round; stroke-linecap: butt"
    head = f'role="img" aria-label="{escape(plain(alt), quote=True)}" style="{lines}"'
    yield f'<svg viewBox="{escape(box, quote=True)}" {head}>'
    for child in root:
        yield from _element(child, prefix)
    yield "</svg>"


def _element(element: ET.Element, prefix: str) -> Iterator[str]:
    tag = element.tag.removeprefix(_SVG) if isinstance(element.tag, str) else ""
    if tag not in _ELEMENTS:
        return
    attributes = "".join(_attributes(element, tag, prefix))
    yield f"<{tag}{attributes}>"
    if tag in {"text", "tspan"} and element.text:
        yield escape(plain(element.text), quote=True)
    for child in element:
        yield from _element(child, prefix)
        if tag in {"text", "tspan"} and child.tail:
            yield escape(plain(child.tail), quote=True)
    yield f"</{tag}>"


def _attributes(element: ET.Element, tag: str, prefix: str) -> Iterator[str]:
    looks = {name: value for name, value in element.attrib.items() if name in _LOOKS}
    for declaration in element.get("style", "").split(";"):
        name, _, value = declaration.partition(":")
        looks[name.strip()] = value.strip()
    kept = {name: _look(name, value, prefix) for name, value in looks.items()}
    style = "; ".join(f"{name}: {value}" for name, value in kept.items() if value)
    if style:
        yield f' style="{escape(style, quote=True)}"'
    for name, value in element.attrib.items():
        if name in _ATTRIBUTES:
            yield f' {name}="{escape(plain(value), quote=True)}"'
        elif name == "id":
            yield f' id="{escape(prefix + plain(value), quote=True)}"'
    target = element.get(_HREF) or element.get("href") or ""
    if tag == "use" and re.fullmatch(r"#[\w.:-]+", target):
        yield f' href="#{prefix}{target[1:]}"'
    elif tag == "image" and _DATA_IMAGE.fullmatch(target):
        yield f' href="{target}"'


def _look(name: str, value: str, prefix: str) -> str:
    """Return a look's value as it may stand, in the report's colours; nothing when it may not."""
    if name not in _LOOKS:
        return ""
    if local := _LOCAL.fullmatch(value):
        return f"url(#{prefix}{local[1]})"
    return _VARIABLE.get(value.lower(), value) if _VALUE.fullmatch(value) else ""


def _number(length: str | None) -> str:
    found = re.match(r"[\d.]+", length or "")
    return found[0] if found else "100"

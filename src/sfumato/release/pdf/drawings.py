"""A page's drawings on their own: the style sheet's colours and fonts written into them."""

from __future__ import annotations

import math
import re
from itertools import pairwise

from sfumato.core.printable import printable
from sfumato.release.charts import COLOURS, PADDING, ROW_HEIGHT
from sfumato.release.pdf.html import Element

#: The face that the document brings along.
FONT = "Libertinus Serif"
_WHITE = "#ffffff"
_COLOURS = {variable: colour for colour, variable in COLOURS.items()} | {"--paper": _WHITE}
#: What the style sheet says of the marks in a chart's key.
_KEYS = {
    "k-after": f'fill="{_COLOURS["--after"]}"',
    "k-range": f'stroke="{_COLOURS["--after"]}" stroke-width="5" stroke-linecap="round" opacity=".4"',
    "k-before": f'fill="none" stroke="{_COLOURS["--before"]}" stroke-width="2"',
    "k-baseline": f'stroke="{_COLOURS["--baseline"]}" stroke-width="2"',
    "k-control": f'fill="none" stroke="{_COLOURS["--control"]}" stroke-width="2"',
    "k-limit": f'fill="{_COLOURS["--limit"]}"',
}
#: So many rows of a chart stay together on paper.
_MOST_ROWS = 14
_BOX = re.compile(r'viewBox="[^"]*"')
_VARIABLE = re.compile(r"var\((--[a-z-]+)\)")
_FAMILY = re.compile(r'font-family="[^"]*"')
_CLASS = re.compile(r'class="([a-z-]+)"')
#: A page may hold them, a drawing on its own may not.
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'
#: The light edge around a label, for lines that pass behind it: the same words again.
_EDGE = re.compile(r'<text [^>]*fill="var\(--paper\)"[^>]*>[^<]*</text>')


def drawing(element: Element) -> str:
    """A drawing of the page as an SVG file of its own."""
    svg = _NOT_XML.sub(lambda found: printable(found[0]), _EDGE.sub("", element.source))
    svg = _VARIABLE.sub(lambda found: _COLOURS.get(found[1], _COLOURS["--ink"]), svg)
    svg = _FAMILY.sub(f'font-family="{FONT}"', svg)
    svg = _CLASS.sub(lambda found: _KEYS.get(found[1], ""), svg)
    return svg if _NAMESPACE in svg else svg.replace("<svg", f"<svg {_NAMESPACE}", 1)


def parts(element: Element) -> list[tuple[str, float, float]]:
    """A chart as one drawing or as several of much the same number of rows, each with width and height.

    Raises:
        ValueError: it has no view box.
    """
    box = element.attributes.get("viewbox", "").split()
    if len(box) != 4:
        raise ValueError("a drawing without a view box")
    width, height = float(box[2]), float(box[3])
    whole, rows = drawing(element), int(height // ROW_HEIGHT)
    count = max(1, math.ceil(rows / _MOST_ROWS))
    cuts = [0.0, *(PADDING + ROW_HEIGHT * round(rows * part / count) for part in range(1, count)), height]
    return [
        (_BOX.sub(f'viewBox="0 {top:g} {width:g} {end - top:g}"', whole, count=1), width, end - top)
        for top, end in pairwise(cuts)
    ]

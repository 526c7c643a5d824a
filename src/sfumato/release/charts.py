"""The dossier's charts: one Altair specification each, drawn to SVG with no browser and no network.

Every chart has a row a figure, with the figure before, after with its 95 % interval, the baseline of blind
guessing, the control population and the gate's limit, as far as each exists; in a trajectory the rows follow
each other and are joined by lines. A chart embeds published aggregates only. The specification holds the
colours of the light page; the page's style sheet takes them over, so that the same picture is right in the
dark, on paper and in a file.
"""

from __future__ import annotations

import base64
import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from sfumato.core.printable import printable

if TYPE_CHECKING:
    from sfumato.release.account import Sheet

#: Where a PNG file has its width and height.
_PNG_SIZE = 16
#: Colour in the specification -> the style sheet's variable. Each colour here is used for nothing else.
COLOURS: Mapping[str, str] = {
    "#2b2622": "--ink",
    "#6b625a": "--soft-ink",
    "#d9d0c4": "--line",
    "#a4552c": "--before",
    "#1f5a63": "--after",
    "#77706a": "--baseline",
    "#6a4a86": "--control",
    "#9c2b2b": "--limit",
    "#fbf8f3": "--paper",
}
_INK, _SOFT, _LINE, _BEFORE, _AFTER, _BASELINE, _CONTROL, _LIMIT, _PAPER = COLOURS
#: Drawn for a page and for a phone; the style sheet shows one of them.
WIDTHS: Mapping[str, int] = {"wide": 640, "narrow": 310}
#: In the drawing's own units: of one row, and of the room around all of them.
ROW_HEIGHT = 54
PADDING = 8
#: Vega's own classes and roles: the picture has one role and one title.
_NOISE = re.compile(r' (?:role|class|pointer-events|aria-[a-z]+)="[^"]*"')
_HOLLOW: Mapping[str, Any] = {"shape": "circle", "size": 95, "strokeWidth": 2}
_FILLED: Mapping[str, Any] = {"shape": "circle", "size": 95, "filled": True}
_FONT = "ui-sans-serif, system-ui, 'Liberation Sans', Arial, sans-serif"


@dataclass(frozen=True)
class Mark:
    """One row of a chart; figures that do not exist are None. ``low`` and ``high`` are the interval's."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    before: float | None = None
    baseline: float | None = None
    control: float | None = None
    limit: float | None = None

    @property
    def figures(self) -> list[float]:
        """Every figure of the row."""
        parts = (self.value, self.low, self.high, self.before, self.baseline, self.control, self.limit)
        return [part for part in parts if part is not None]


def specification(marks: Sequence[Mark], *, percent: bool, validate: bool = False) -> dict[str, Any]:
    """The Vega-Lite specification of a chart, as plain JSON, for any width.

    Args:
        marks: the rows, from top to bottom.
        percent: whether the axis is in per cent; else a plain number.
        validate: check it against Vega-Lite's schema, which takes longer than drawing it.
    """
    import altair as alt

    low, high = _domain(marks, percent)
    scale = alt.Scale(domain=[low, high], nice=False)
    axis = alt.Axis(format="%" if percent else ".2~f", tickCount=5, title=None)
    base = _rows(marks)

    def x(field: str) -> Any:
        return alt.X(f"{field}:Q", scale=scale, axis=axis)

    def line(start: str, end: str, **look: Any) -> Any:
        return _where(base, start, end).mark_rule(yOffset=11, **look).encode(x=x(start), x2=f"{end}:Q")

    def point(field: str, *, lower: int = 11, **look: Any) -> Any:
        return _where(base, field).mark_point(yOffset=lower, opacity=1, **look).encode(x=x(field))

    layers = [
        *_labels(base),
        line("value", "before", strokeWidth=1, strokeDash=[2, 3], color=_SOFT),
        line("low", "high", strokeWidth=6, strokeCap="round", opacity=0.4, color=_AFTER),
        point("baseline", shape="stroke", angle=90, size=220, strokeWidth=2, color=_BASELINE),
        point("control", shape="diamond", size=110, strokeWidth=2, color=_CONTROL),
        point("before", color=_BEFORE, **_HOLLOW),
        point("value", color=_AFTER, **_FILLED),
        point("limit", lower=1, shape="triangle-down", size=70, filled=True, color=_LIMIT),
    ]
    return _specified(layers, len(marks), validate)


def trajectory(marks: Sequence[Mark], *, validate: bool = False) -> dict[str, Any]:
    """The specification of figures that follow each other, from top to bottom, on a scale of powers of ten.

    Args:
        marks: the steps, with figures of at least 1; only ``value`` and ``before`` are drawn.
        validate: as for :func:`specification`.
    """
    import altair as alt

    most = max(2.0, *(figure for mark in marks for figure in (mark.value, mark.before or 1.0)))
    scale = alt.Scale(type="log", domain=[1, most], nice=False)
    ticks = [10**power for power in range(math.floor(math.log10(most)) + 1)]
    axis = alt.Axis(format=",", values=ticks if len(ticks) > 1 else [1, 2, 5], title=None)
    base = _rows(marks)

    def layer(field: str, colour: str, line: Mapping[str, Any], point: Mapping[str, Any]) -> list[Any]:
        at = _where(base, field).encode(x=alt.X(f"{field}:Q", scale=scale, axis=axis))
        # From row to row, and not in the order of the figures.
        path = at.encode(order="row:Q").mark_line(yOffset=11, strokeWidth=2, color=colour, **line)
        return [path, at.mark_point(yOffset=11, opacity=1, color=colour, **point)]

    layers = [
        *layer("before", _BEFORE, {"strokeDash": [2, 3]}, _HOLLOW),
        *layer("value", _AFTER, {}, _FILLED),
        # Beside the line at 1, on which the original's figures often stand.
        *_labels(base, 10),
    ]
    return _specified(layers, len(marks), validate)


def _rows(marks: Sequence[Mark]) -> Any:
    """The rows as a chart's base."""
    import altair as alt

    rows = [
        {name: getattr(mark, name) for name in Mark.__dataclass_fields__}
        # A control character in a label would end the process, not just the chart.
        | {"row": number, "label": printable(mark.label)}
        for number, mark in enumerate(marks)
    ]
    y = alt.Y("row:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0))
    return alt.Chart({"values": rows}).encode(y=y)


def _where(base: Any, *fields: str) -> Any:
    return base.transform_filter(" && ".join(f"isValid(datum.{field})" for field in fields))


def _labels(base: Any, left: int = 0) -> list[Any]:
    """The name of each row above its figures, with the paper's colour around it."""
    import altair as alt

    def label(**look: Any) -> Any:
        text = base.mark_text(align="left", yOffset=-14, fontSize=13, limit=alt.expr("width"), **look)
        return text.encode(x=alt.value(left), text="label:N")

    return [label(color=_PAPER, stroke=_PAPER, strokeWidth=5), label(color=_INK)]


def _specified(layers: Sequence[Any], rows: int, validate: bool) -> dict[str, Any]:
    import altair as alt

    chart = (
        alt.layer(*layers)
        .properties(width=WIDTHS["wide"], height=ROW_HEIGHT * rows, padding=PADDING, background="transparent")
        .configure(aria=False, font=_FONT)
        .configure_view(stroke=None)
        .configure_axis(
            gridColor=_LINE, domain=False, ticks=False, labelColor=_SOFT, labelFontSize=12, labelPadding=6
        )
    )
    specified: dict[str, Any] = chart.to_dict(validate=validate)
    return specified


def _domain(marks: Sequence[Mark], percent: bool) -> tuple[float, float]:
    """From 0 (or below) to the largest figure; a scale of nothing but zeros is still a scale."""
    figures = [figure for mark in marks for figure in mark.figures]
    low, high = min(0.0, *figures), max(0.0, *figures)
    least = 0.05 if percent else 0.1
    return low, max(high, low + least)


def draw(marks: Sequence[Mark], *, name: str, title: str, percent: bool) -> Markup:
    """A chart as inline SVG for the page, once for each of :data:`WIDTHS`.

    Args:
        marks: the rows; none of them gives an empty string.
        name: unique in the page.
        title: what the chart shows, for readers who hear it.
        percent: whether the axis is in per cent.
    """
    if not marks:
        return Markup()
    return _drawn(specification(marks, percent=percent), name, title)


def draw_trajectory(marks: Sequence[Mark], *, name: str, title: str) -> Markup:
    """:func:`trajectory` as inline SVG, as :func:`draw` makes it."""
    return _drawn(trajectory(marks), name, title) if marks else Markup()


def contact_sheet(sheet: Sheet | None) -> Markup:
    """Made images as one inline picture; empty where none leave."""
    if sheet is None:
        return Markup()
    width, height = struct.unpack_from(">II", sheet.png, _PNG_SIZE)
    shown = f"Made images, each row of one label: {', '.join(sheet.rows)}" if sheet.rows else "Made images"
    return Markup(  # noqa: S704 - numbers, a picture's bytes as letters and digits, and an escaped title
        f'<svg class="sheet" role="img" aria-labelledby="contact-sheet" viewBox="0 0 {width} {height}"'
        f' xmlns="http://www.w3.org/2000/svg"><title id="contact-sheet">{escape(shown)}</title>'
        f'<image width="{width}" height="{height}"'
        f' href="data:image/png;base64,{base64.b64encode(sheet.png).decode()}"/></svg>'
    )


def _drawn(specified: dict[str, Any], name: str, title: str) -> Markup:
    drawings = (
        _inline({**specified, "width": width}, f"{name}-{size}", size, title)
        for size, width in WIDTHS.items()
    )
    return Markup().join(drawings)


def _inline(spec: dict[str, Any], name: str, size: str, title: str) -> Markup:
    import vl_convert

    # No address is allowed, so that no specification can ever make the drawing ask the network.
    svg: str = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    for colour, variable in COLOURS.items():
        svg = svg.replace(f'"{colour}"', f'"var({variable})"')
    view = re.search(r'viewBox="[^"]*"', svg)
    assert view is not None
    body = _NOISE.sub("", svg[svg.index(">") + 1 :])
    # The drawing is Vega's own and holds nothing but numbers and labels that Vega has escaped.
    return Markup(  # noqa: S704
        f'<svg class="chart {size}" role="img" aria-labelledby="{escape(name)}" {view.group()}'
        f' xmlns="http://www.w3.org/2000/svg"><title id="{escape(name)}">{escape(title)}</title>{body}'
    )

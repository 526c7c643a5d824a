"""The dossier's charts: one Altair specification each, drawn to SVG with no browser and no network.

Every chart is the same: a row a figure, with the figure before, after with its 95 % interval, the
baseline of blind guessing, the control population and the gate's limit, as far as each exists. A chart
embeds published aggregates only. The specification holds the colours of the light page; the page's
style sheet takes them over, so that the same picture is right in the dark, on paper and in a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from sfumato.core.printable import printable

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

    rows = [
        {name: getattr(mark, name) for name in Mark.__dataclass_fields__}
        # A control character in a label would end the process, not just the chart.
        | {"row": number, "label": printable(mark.label)}
        for number, mark in enumerate(marks)
    ]
    low, high = _domain(marks, percent)
    scale = alt.Scale(domain=[low, high], nice=False)
    axis = alt.Axis(format="%" if percent else ".2~f", tickCount=5, title=None)
    y = alt.Y("row:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0))
    base = alt.Chart({"values": rows}).encode(y=y)

    def x(field: str) -> Any:
        return alt.X(f"{field}:Q", scale=scale, axis=axis)

    def where(*fields: str) -> Any:
        return base.transform_filter(" && ".join(f"isValid(datum.{field})" for field in fields))

    def label(**look: Any) -> Any:
        text = base.mark_text(align="left", yOffset=-14, fontSize=13, limit=alt.expr("width"), **look)
        return text.encode(x=alt.value(0), text="label:N")

    def line(start: str, end: str, **look: Any) -> Any:
        return where(start, end).mark_rule(yOffset=11, **look).encode(x=x(start), x2=f"{end}:Q")

    def point(field: str, *, lower: int = 11, **look: Any) -> Any:
        return where(field).mark_point(yOffset=lower, opacity=1, **look).encode(x=x(field))

    layers = [
        label(color=_PAPER, stroke=_PAPER, strokeWidth=5),
        label(color=_INK),
        line("value", "before", strokeWidth=1, strokeDash=[2, 3], color=_SOFT),
        line("low", "high", strokeWidth=6, strokeCap="round", opacity=0.4, color=_AFTER),
        point("baseline", shape="stroke", angle=90, size=220, strokeWidth=2, color=_BASELINE),
        point("control", shape="diamond", size=110, strokeWidth=2, color=_CONTROL),
        point("before", shape="circle", size=95, strokeWidth=2, color=_BEFORE),
        point("value", shape="circle", size=95, filled=True, color=_AFTER),
        point("limit", lower=1, shape="triangle-down", size=70, filled=True, color=_LIMIT),
    ]
    chart = (
        alt.layer(*layers)
        .properties(
            width=WIDTHS["wide"], height=ROW_HEIGHT * len(marks), padding=PADDING, background="transparent"
        )
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
    specified = specification(marks, percent=percent)
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

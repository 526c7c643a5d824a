"""The frontier as a picture: one Altair specification for the page, SVG and PNG."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from markupsafe import Markup

from sfumato.core.values import Finding
from sfumato.release.charts import COLOURS
from sfumato.release.words import is_percent, title, value_words
from sfumato.tuning.aims import Aim
from sfumato.tuning.frontier import broken, leading
from sfumato.tuning.outcome import Tuned

Kind = Literal["tried", "broken", "frontier", "given", "best"]

_INK, _SOFT, _LINE, _BEFORE, _AFTER, _BASELINE, _CONTROL, _LIMIT, _PAPER = COLOURS
_FONT = "ui-sans-serif, system-ui, 'Liberation Sans', Arial, sans-serif"
#: Plots on a desk and on a phone, where the letters must not shrink with the picture.
_WIDE, _NARROW = (640, 420), (260, 280)
_TITLE = "What each policy risks and keeps"
#: Each kind's shape, size and colour, the last drawn on top.
LOOKS: dict[Kind, tuple[str, int, str]] = {
    "broken": ("cross", 36, _BASELINE),
    "tried": ("circle", 60, _BASELINE),
    "frontier": ("circle", 120, _AFTER),
    "given": ("diamond", 150, _BEFORE),
    "best": ("triangle-up", 190, _AFTER),
}
_MARK = re.compile(r'<a xlink:href="[^"#]*#(trial-\d+)"><path aria-label="([^"]*)"')
_NOISE = re.compile(r' (?:role|class|pointer-events|aria-roledescription|aria-hidden)="[^"]*"')


@dataclass(frozen=True)
class Point:
    """One policy in the picture: its figures with their intervals, and what a reader hears of it."""

    trial: int
    kind: Kind
    x: float
    y: float
    x_low: float | None
    x_high: float | None
    y_low: float | None
    y_high: float | None
    label: str
    words: str


def axes(tuned: Tuned) -> tuple[Aim, Aim]:
    """The aims of risk and of use that lead the choice."""
    return leading(tuned.aims, tuned.trials, "risk"), leading(tuned.aims, tuned.trials, "use")


def points(tuned: Tuned) -> list[Point]:
    """Every trial whose two figures were measured, those with the same rows once."""
    found = [_point(tuned, trial.number) for trial in tuned.trials if trial.like is None]
    order = list(LOOKS)
    return sorted((one for one in found if one is not None), key=lambda one: order.index(one.kind))


def _point(tuned: Tuned, number: int) -> Point | None:
    trial, (risk, use) = tuned.trials[number], axes(tuned)
    x, y = trial.figure(risk.metric, risk.target), trial.figure(use.metric, use.target)
    if x is None or y is None or x.value is None or y.value is None:
        return None
    kind, file = _kind(tuned, number)
    shown = kind in ("frontier", "given", "best")
    differs = ", ".join(tuned.differs[number]) or "the policy as it is"
    words = f"trial {number + 1}: {_told(risk, x)}, {_told(use, y)}; {differs}"
    return Point(
        number,
        kind,
        x.value,
        y.value,
        *((x.low, x.high, y.low, y.high) if shown else (None,) * 4),
        label=file or ("given" if kind == "given" else ""),
        words=words,
    )


def _kind(tuned: Tuned, number: int) -> tuple[Kind, str]:
    kept = next((one for one in tuned.frontier if one.trial == number), None)
    name = "" if kept is None or kept.file is None else kept.file.removesuffix(".yaml")
    if number == tuned.best:
        return "best", name
    if number == 0:
        return "given", name
    if kept is None:
        held = tuned.trials[number].status == "measured" and number not in tuned_broken(tuned)
        return ("tried" if held else "broken"), ""
    return ("frontier" if kept.plain or kept.file is not None else "tried"), name


def tuned_broken(tuned: Tuned) -> set[int]:
    """The trials that break a limit."""
    share = tuned.people[0] / max(1, sum(tuned.people))
    return {trial.number for trial in tuned.trials if broken(tuned.aims, trial, share)}


def _told(aim: Aim, finding: Finding) -> str:
    return f"{title(aim.metric)} {value_words(finding.value, aim.unit)}"


def specification(tuned: Tuned, shown: Sequence[Point], plot: tuple[int, int] = _WIDE) -> dict[str, Any]:
    """The Vega-Lite specification, as plain JSON; ``plot`` is the width and height inside the axes."""
    import altair as alt

    risk, use = axes(tuned)
    rows = [asdict(point) | {"href": f"#trial-{point.trial + 1}"} for point in shown]
    base = alt.Chart({"values": rows})

    def scale(aim: Aim) -> Any:
        return alt.Scale(
            zero=False, nice=True, padding=14, reverse=aim.goal == ("high" if aim is risk else "low")
        )

    def axis(aim: Aim, word: str) -> Any:
        form = "%" if is_percent(aim.unit) else ".3~f"
        lines = [f"{title(aim.metric)} ({word})"] if plot == _WIDE else [title(aim.metric), f"({word})"]
        return alt.Axis(format=form, title=lines, tickCount=plot[0] // 100)

    x = alt.X("x:Q", scale=scale(risk), axis=axis(risk, "less risk to the left"))
    y = alt.Y("y:Q", scale=scale(use), axis=axis(use, "more use above"))
    layers = [
        base.transform_filter("isValid(datum.x_low)")
        .mark_rule(color=_LINE, strokeWidth=2)
        .encode(x="x_low:Q", x2="x_high:Q", y=y),
        base.transform_filter("isValid(datum.y_low)")
        .mark_rule(color=_LINE, strokeWidth=2)
        .encode(y="y_low:Q", y2="y_high:Q", x=x),
    ]
    for kind, (shape, size, colour) in LOOKS.items():
        if any(point.kind == kind for point in shown):
            filled = kind in ("frontier", "best", "given")
            look: dict[str, Any] = {
                "shape": shape,
                "size": size,
                "filled": filled,
                "color": colour,
                "opacity": 1,
                "strokeWidth": 1.5,
            }
            mark = base.transform_filter(f"datum.kind == '{kind}'").mark_point(**look)
            layers.append(mark.encode(x=x, y=y, href="href:N", description="words:N"))
    layers.append(
        base.transform_filter("datum.label != ''")
        .mark_text(align="left", dx=10, dy=-10, fontSize=12, color=_INK, limit=160)
        .encode(x=x, y=y, text="label:N")
    )
    chart = (
        alt.layer(*layers)
        .properties(width=plot[0], height=plot[1], padding=10, background="transparent")
        .configure(font=_FONT)
        .configure_view(stroke=None)
        .configure_axis(
            gridColor=_LINE,
            gridOpacity=0.5,
            domain=False,
            ticks=False,
            labelColor=_SOFT,
            titleColor=_INK,
            labelFontSize=12,
            titleFontSize=13,
            titleFontWeight="normal",
            labelPadding=6,
            titlePadding=12,
        )
    )
    specified: dict[str, Any] = chart.to_dict(validate=False)
    return specified


def pictures(tuned: Tuned) -> dict[str, bytes]:
    """``frontier.svg`` and ``frontier.png``, on paper; nothing where no trial has both figures."""
    import vl_convert

    if not (shown := points(tuned)):
        return {}
    spec = {**specification(tuned, shown), "background": _PAPER}
    svg: str = vl_convert.vegalite_to_svg(_unlinked(spec), allowed_base_urls=[])
    png: bytes = vl_convert.vegalite_to_png(_unlinked(spec), scale=2, allowed_base_urls=[])
    return {"frontier.svg": svg.encode(), "frontier.png": png}


def _unlinked(spec: dict[str, Any]) -> dict[str, Any]:
    """The picture for a file of its own, where there is no table to lead to."""
    layers = [
        {**layer, "encoding": {name: part for name, part in layer["encoding"].items() if name != "href"}}
        for layer in spec["layer"]
    ]
    return {**spec, "layer": layers}


def inline(tuned: Tuned) -> Markup:
    """The picture for the page, for desks and for phones: each policy is a link to its row of the table."""
    if not (shown := points(tuned)):
        return Markup()
    wide, narrow = (specification(tuned, shown, size) for size in (_WIDE, _NARROW))
    return _linked(wide, "wide") + _linked(narrow, "narrow")


def _linked(spec: dict[str, Any], name: str) -> Markup:
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    for colour, variable in COLOURS.items():
        svg = svg.replace(f'"{colour}"', f'"var({variable})"')
    view = re.search(r'viewBox="[^"]*"', svg)
    assert view is not None
    body = _NOISE.sub("", svg[svg.index(">") + 1 :])
    body = _MARK.sub(r'<a href="#\1" data-trial="\1" aria-label="\2"><path', body)
    body = re.sub(r'<(g|path|text|line)([^>]*?) aria-label="[^"]*"', r"<\1\2", body)
    # The drawing is Vega's own: numbers, names of columns and labels that Vega has escaped.
    return Markup(  # noqa: S704
        f'<svg class="frontier {name}" role="group" aria-labelledby="picture-{name}" {view.group()}'
        f' xmlns="http://www.w3.org/2000/svg"><title id="picture-{name}">{_TITLE}</title>{body}'
    )

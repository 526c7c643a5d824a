"""The picture of what an epsilon means for one person."""

from __future__ import annotations

import math
from typing import Any

EPSILONS = (0.1, 0.5, 1, 2, 4, 8)
#: Fine where the curves are steep.
_PRIORS = [(step / 100) ** 2 for step in range(101)]
_INK, _SOFT, _LINE = "#1c1b1a", "#6b6761", "#dedad3"


def believed(prior: float, epsilon: float) -> float:
    """The most that somebody can believe after an answer, who believed ``prior`` before (Bayes).

    >>> round(believed(0.5, 1.0), 3)
    0.731
    """
    odds = math.exp(epsilon)
    return odds * prior / (odds * prior + 1 - prior)


def epsilon_svg() -> str:
    """The picture as SVG: a curve for each epsilon, from the belief before to the belief after."""
    import altair as alt
    import vl_convert

    points = [
        {"before": prior, "after": believed(prior, epsilon), "epsilon": epsilon}
        for epsilon in EPSILONS
        for prior in _PRIORS
    ]
    unmoved = [{"before": 0.0, "after": 0.0}, {"before": 1.0, "after": 1.0}]
    # Each label stands where its curve is farthest from the diagonal.
    ends = [
        {"before": 1 - (after := believed(0.5, epsilon / 2)), "after": after, "said": f"ε = {epsilon:g}"}
        for epsilon in EPSILONS
    ]

    def x() -> Any:
        return alt.X("before:Q", title="believed before", axis=alt.Axis(format="%", tickCount=5))

    def y() -> Any:
        return alt.Y("after:Q", title="believed after, at most", axis=alt.Axis(format="%", tickCount=5))

    same = alt.Chart({"values": unmoved}).mark_line(strokeDash=[4, 4], color=_SOFT).encode(x=x(), y=y())
    shade = alt.Color(
        "epsilon:O", scale=alt.Scale(scheme="blues", domain=[-8, -4, -2, *EPSILONS]), legend=None
    )
    curves = alt.Chart({"values": points}).mark_line(strokeWidth=2.5).encode(x=x(), y=y(), color=shade)
    halo = alt.Chart({"values": ends}).mark_text(
        align="left", dx=6, dy=9, fontSize=12, stroke="white", strokeWidth=4
    )
    label = alt.Chart({"values": ends}).mark_text(align="left", dx=6, dy=9, fontSize=12, color=_INK)
    chart = (
        alt.layer(
            same, curves, halo.encode(x=x(), y=y(), text="said:N"), label.encode(x=x(), y=y(), text="said:N")
        )
        .properties(width=460, height=340, background="white", padding=14)
        .configure(font="sans-serif")
        .configure_view(stroke=None)
        .configure_axis(gridColor=_LINE, domain=False, ticks=False, labelColor=_SOFT, titleColor=_INK)
    )
    svg: str = vl_convert.vegalite_to_svg(chart.to_dict(), allowed_base_urls=[])
    return svg + "\n"

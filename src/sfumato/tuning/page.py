"""The page of a search: the picture, the table beside it, and why no better policy is there."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import Any

from markupsafe import Markup

from sfumato.core.values import Finding
from sfumato.release.words import interval, title, value_words
from sfumato.tuning.chart import axes, inline, points
from sfumato.tuning.outcome import Tuned
from sfumato.tuning.study import Trial


def page(tuned: Tuned) -> bytes:
    """The page: one file, no address in it, readable without its script."""
    import jinja2

    style = _packaged("release", "style.css") + _packaged("tuning", "tune.css")
    script = _packaged("tuning", "tune.js")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.update(title=title, figure=value_words, interval=interval, name=_name)
    shown = {point.trial: point for point in points(tuned)}
    risk, use = axes(tuned)
    text = environment.from_string(_packaged("tuning", "tune.html.j2")).render(
        tuned=tuned,
        risk=risk,
        use=use,
        chart=inline(tuned),
        kinds={number: point.kind for number, point in shown.items()},
        rows=_rows(tuned),
        best=tuned.winner,
        confirmed=tuned.confirmed,
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        style_hash=_hash(style),
        script_hash=_hash(script),
    )
    return text.encode()


def _rows(tuned: Tuned) -> list[dict[str, Any]]:
    """Every trial, those of the frontier first."""
    order = [kept.trial for kept in tuned.shown]
    others = [trial.number for trial in tuned.trials if trial.number not in order]
    kept = {one.trial: one for one in tuned.frontier}
    return [
        {
            "trial": tuned.trials[number],
            "differs": tuned.differs[number],
            "kept": kept.get(number) if number in order else None,
            "figures": [_figure(tuned.trials[number], aim.metric, aim.target) for aim in tuned.aims.aims],
        }
        for number in (*order, *others)
    ]


def _figure(trial: Trial, metric: str, target: str) -> Finding | None:
    return trial.figure(metric, target)


def _name(kept: Any) -> str:
    return "" if kept is None or kept.file is None else str(kept.file).removesuffix(".yaml")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _packaged(room: str, name: str) -> str:
    return resources.files(f"sfumato.{room}").joinpath("templates", name).read_text(encoding="utf-8")

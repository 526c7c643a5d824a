"""Hierarchies from their specification, those that learn from a column among them.

A specification is JSON: the kind's name, its parameters as a policy writes them, and for a fitted kind
``fit``, what it learned. Such a kind has two attributes more than :class:`sfumato.contracts.HierarchyKind`,
and its constructor takes ``fit`` after the folder, None where only its height is asked for:

* ``fitted = True``; the labels depend on the data, which the dossier discloses in the words of ``disclosed``;
* ``fit(values, params)``, a class method: JSON from a table of distinct ``value`` with ``count`` (and
  ``target``, one row for each pair with it, if the kind says ``needs_target``).

After that its labels are a function of the value alone again, for people outside the snapshot too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from sfumato.hierarchies import HIERARCHIES


def is_fitted(spec: Mapping[str, Any]) -> bool:
    """Whether the kind of a specification learns from the column.

    >>> is_fitted({"kind": "quantiles", "bins": [4]}), is_fitted({"kind": "suppress"})
    (True, False)
    """
    return bool(getattr(HIERARCHIES.resolve(spec["kind"]), "fitted", False))


def needs_target(spec: Mapping[str, Any]) -> bool:
    """Whether the kind of a specification learns from the column together with the target."""
    return bool(getattr(HIERARCHIES.resolve(spec["kind"]), "needs_target", False))


def fitted(spec: Mapping[str, Any], values: pl.DataFrame) -> dict[str, Any]:
    """The specification with what its kind learns from a column; of other kinds as it is.

    Args:
        spec: kind and parameters.
        values: distinct ``value`` and ``count`` of rows, of the people who are to be released.

    Raises:
        InputError: from the kind.

    >>> ages = pl.DataFrame({"value": range(20, 60), "count": [3] * 40})
    >>> fitted({"kind": "quantiles", "bins": [2]}, ages)["fit"]["cuts"]
    [[40.0]]
    """
    if not is_fitted(spec):
        return dict(spec)
    kind, params = _parts(spec)
    return {**spec, "fit": kind.fit(values, params)}


def build(spec: Mapping[str, Any], folder: Path) -> Any:
    """The hierarchy of a specification; ``folder`` is the one that its paths are relative to.

    Raises:
        InputError: ``hierarchy-invalid`` for a file that cannot be used.
    """
    kind, params = _parts(spec)
    return kind(params, folder, spec.get("fit")) if is_fitted(spec) else kind(params, folder)


def _parts(spec: Mapping[str, Any]) -> tuple[Any, Any]:
    kind = HIERARCHIES.resolve(spec["kind"])
    written = {name: value for name, value in spec.items() if name not in ("kind", "fit")}
    return kind, kind.Params(**written)

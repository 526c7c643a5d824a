"""A trained model as a file: numbers, and in its header the declaration that they belong to.

Nothing in it is of the rows but the numbers that were paid for. A recipient needs no more than the header:
features are made from declared bounds and categories alone (:mod:`sfumato.dp.training.features`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from sfumato.core.canonical import canonical_json
from sfumato.core.errors import InputError
from sfumato.dp.training import tensorfile
from sfumato.dp.training.features import Declared
from sfumato.dp.training.linear import LinearRegression
from sfumato.dp.training.logistic import LogisticRegression

#: The estimators that can leave, by the name that a policy gives them.
ESTIMATORS = {"logistic-regression": LogisticRegression, "linear-regression": LinearRegression}
_FORM = "1"


def saved(model: LogisticRegression | LinearRegression) -> bytes:
    """A fitted model as the bytes of a safetensors file.

    >>> from sfumato.dp.budget import Budget
    >>> model = LinearRegression(budget=Budget(3.0, 1e-6), epsilon=3.0, bounds={"x": (0, 1)}, target=(0, 1))
    >>> table = pl.DataFrame({"x": np.linspace(0, 1, 500)})
    >>> again = loaded(saved(model.fit(table, table["x"])))
    >>> bool((again.predict(table) == model.predict(table)).all())
    True
    """
    (name,) = (name for name, kind in ESTIMATORS.items() if type(model) is kind)
    declared: dict[str, Any] = {
        "bounds": model.bounds,
        "categories": model.categories,
        "knots": model.knots,
        "missing": model.missing,
        "columns": [column.name for column in model.features_.columns],
    }
    if isinstance(model, LogisticRegression):
        declared["classes"] = model.classes_.tolist()
    else:
        declared["target"] = list(model.target or ())
    header = {
        "sfumato": _FORM,
        "model": name,
        "declared": canonical_json(declared).decode(),
        "features": canonical_json(model.feature_names_).decode(),
        "epsilon": repr(float(model.epsilon_)),
        "delta": repr(float(model.delta)),
    }
    tensors = {
        "coef": np.atleast_2d(np.asarray(model.coef_, dtype=np.float64)),
        "intercept": np.atleast_1d(np.asarray(model.intercept_, dtype=np.float64)),
    }
    return tensorfile.written(tensors, header)


def loaded(content: bytes | str | Path) -> Any:
    """The model of a file, ready to predict; it can be fitted again only with a budget.

    Args:
        content: the bytes, or the file's path.

    Raises:
        InputError: ``source-unreadable``: it is no model of ours.
    """
    raw = content if isinstance(content, bytes) else Path(content).read_bytes()
    tensors, header = tensorfile.read(raw)
    try:
        declared = json.loads(header["declared"])
        kind, columns = ESTIMATORS[header["model"]], declared.pop("columns")
        classes = declared.pop("classes", None)
        if declared.get("target") is not None:
            declared["target"] = tuple(declared["target"])
        model = kind(epsilon=float(header["epsilon"]), delta=float(header["delta"]), **declared)
        coef, intercept = tensors["coef"], tensors["intercept"]
        empty = pl.DataFrame({name: [] for name in columns})
        model.features_ = Declared(model.bounds, model.categories, model.knots, model.missing).fit(empty)
        model.feature_names_ = json.loads(header["features"])
        model.n_features_in_, model.epsilon_ = len(columns), model.epsilon
        if classes is not None:
            model.classes_ = np.asarray(classes)
            model.coef_, model.intercept_ = coef, intercept
        else:
            model.coef_, model.intercept_ = coef[0], float(intercept[0])
    except (KeyError, ValueError, TypeError):
        raise InputError("source-unreadable", "it is no model that a release of ours holds") from None
    return model

"""The edge: whatever table the caller has, in and out; inside it is Polars only."""

from __future__ import annotations

from typing import Any

import polars as pl

from sfumato.core.errors import InputError


def to_polars(table: Any) -> pl.DataFrame:
    """A caller's table as Polars: pandas, Polars, PyArrow, or anything with the Arrow PyCapsule interface.

    Raises:
        InputError: ``usage`` for anything else, and for a table whose columns have no type or name of
            their own.

    >>> to_polars(pl.DataFrame({"a": [1]})).shape
    (1, 1)
    """
    import narwhals as nw

    if isinstance(table, pl.DataFrame):
        return table
    if isinstance(table, pl.LazyFrame):
        return table.collect(engine="streaming")
    try:
        native = nw.from_native(table, eager_only=True, pass_through=True)
        if isinstance(native, nw.DataFrame):
            return native.to_polars()
        if hasattr(table, "__arrow_c_stream__"):
            return pl.DataFrame(table)
    except (ValueError, TypeError, pl.exceptions.PolarsError) as error:
        # The words of the error may quote a person's value.
        raise InputError(
            "usage",
            f"the {type(table).__name__} cannot be read as a table ({type(error).__name__})",
            remedy="give every column one name of its own, and values of one type",
        ) from None
    raise InputError(
        "usage",
        f"a {type(table).__name__} is not a table",
        remedy="give a pandas, Polars or PyArrow table, or an object with the Arrow PyCapsule interface",
    )


def like(frame: pl.DataFrame, model: Any) -> Any:
    """A Polars table as the kind of table that ``model`` is; Polars where there is no such kind."""
    import narwhals as nw

    if isinstance(model, pl.LazyFrame):
        return frame.lazy()
    native = nw.from_native(model, eager_only=True, pass_through=True)
    if not isinstance(native, nw.DataFrame) or native.implementation.is_polars():
        return frame
    if native.implementation.is_pandas():
        return frame.to_pandas()
    if native.implementation.is_pyarrow():
        return frame.to_arrow()
    return frame

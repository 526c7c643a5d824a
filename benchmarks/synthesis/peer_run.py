"""Teaches one synthesizer a table and makes rows, in the environment that has the synthesizer.

``python peer_run.py TASK`` with a file of JSON: ``kind``, ``train`` and ``made`` (Parquet), ``seed``,
``rows``, ``epochs``, ``epsilon``, ``delta`` and ``public`` (bounds and categories). It prints one line of
JSON: CPU seconds of learning and of making rows. Imports, and reading the table, are not counted. Nothing
else of the benchmarks is imported, for a peer's environment has not got it.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

TARGET = "income"
#: What ours imports when it is first used.
_HEAVY = ("torch", "opacus", "scipy.stats", "sklearn", "dp_accounting", "opendp.prelude", "jax", "mbi")


@dataclass(frozen=True)
class Taught:
    """How a synthesizer learns, and makes so many rows; what is to be known of it afterwards."""

    package: str
    fit: Callable[[], Any]
    sample: Callable[[Any, int], Any]
    told: Callable[[Any], dict[str, Any]] = lambda _: {}


def ours(task: dict[str, Any]) -> Taught:
    """A synthesizer of sfumato, through the public front."""
    import polars as pl

    import sfumato as sf
    from sfumato.synth import SYNTHESIZERS

    for name in _HEAVY if task["epsilon"] else ("torch", "scipy.stats"):
        importlib.import_module(name)
    SYNTHESIZERS.resolve(task["kind"])
    table, seed = pl.read_parquet(task["train"]), task["seed"]
    terms = {}
    if task["epsilon"]:
        terms = {"epsilon": task["epsilon"], "delta": task["delta"], **task["public"]}
    return Taught(
        "sfumato",
        lambda: sf.synth.fit(table, task["kind"], target=TARGET, seed=seed, **terms),
        lambda model, rows: model.sample(rows, seed=seed),
        lambda model: {"epsilon": model.epsilon} if task["epsilon"] else {},
    )


def argn(task: dict[str, Any]) -> Taught:
    """TabularARGN as it comes: medium, until its early stopping.

    Under differential privacy without its protection of values, so that the domain counts as public.
    """
    import pandas as pd
    from mostlyai.engine import TabularARGN  # type: ignore[import-not-found]
    from mostlyai.engine.domain import DifferentialPrivacyConfig  # type: ignore[import-not-found]

    table = pd.read_parquet(task["train"])
    folder = tempfile.mkdtemp(dir=Path(task["train"]).parent)
    private = {}
    if task["epsilon"]:
        config = DifferentialPrivacyConfig(max_epsilon=task["epsilon"], delta=task["delta"])
        private = {"differential_privacy": config, "value_protection": False}
    model = TabularARGN(
        model="MOSTLY_AI/Medium", random_state=task["seed"], workspace_dir=folder, device="cpu", **private
    )

    def told(_: Any) -> dict[str, Any]:
        steps = pd.read_csv(next(Path(folder).rglob("progress-messages.csv")))
        best = steps[steps["is_checkpoint"] == 1].iloc[-1]
        found = {"epochs": float(steps["epoch"].max())}
        return {**found, "epsilon": float(best["dp_eps"])} if task["epsilon"] else found

    return Taught(
        "mostlyai-engine", lambda: model.fit(table), lambda taught, rows: taught.sample(n_samples=rows), told
    )


def copula(task: dict[str, Any]) -> Taught:
    """SDV's Gaussian copula as it comes, told which columns are numbers."""
    table = _seeded(task)
    from sdv.metadata import Metadata  # type: ignore[import-not-found]
    from sdv.single_table import GaussianCopulaSynthesizer  # type: ignore[import-not-found]

    columns = {
        name: {"sdtype": "numerical" if dtype.kind in "if" else "categorical"}
        for name, dtype in table.dtypes.items()
    }
    model = GaussianCopulaSynthesizer(Metadata.load_from_dict({"tables": {"people": {"columns": columns}}}))

    def fit() -> Any:
        model.fit({"people": table})
        return model

    return Taught("sdv", fit, lambda taught, rows: taught.sample(num_rows=rows)["people"])


def ctgan(task: dict[str, Any]) -> Taught:
    """CTGAN or TVAE of the package ctgan, as they come but for the epochs."""
    table = _seeded(task)
    import ctgan as package  # type: ignore[import-not-found]

    model = getattr(package, {"ctgan": "CTGAN", "tvae": "TVAE"}[task["kind"]])(epochs=task["epochs"])
    model.set_random_state(task["seed"])
    discrete = [name for name, dtype in table.dtypes.items() if dtype.kind not in "if"]

    def fit() -> Any:
        model.fit(table, discrete)
        return model

    return Taught("ctgan", fit, lambda taught, rows: taught.sample(rows))


def _seeded(task: dict[str, Any]) -> Any:
    """The table, and the random numbers of those that take no seed."""
    import numpy as np
    import pandas as pd
    import torch

    torch.manual_seed(task["seed"])
    np.random.seed(task["seed"])
    return pd.read_parquet(task["train"])


PEERS = {"argn": argn, "sdv-copula": copula, "ctgan": ctgan, "tvae": ctgan}


def main(path: str) -> None:
    """Do one task."""
    import torch

    torch.set_num_threads(1)
    task = json.loads(Path(path).read_text())
    taught = PEERS.get(task["kind"], ours)(task)
    begin = time.process_time()
    model = taught.fit()
    learned = time.process_time()
    made = taught.sample(model, task["rows"])
    drawn = time.process_time()
    (getattr(made, "write_parquet", None) or made.to_parquet)(task["made"])
    said = {
        "fit": learned - begin,
        "sample": drawn - learned,
        "version": f"{taught.package} {version(taught.package)}",
        **taught.told(model),
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1])

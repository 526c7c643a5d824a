"""Own rows and made rows of the same people: what whoever holds both guesses more, less the same of others.

All of adult, 5-anonymous on seven columns with occupation sensitive, and 30,000 clients of a bank, on five
with how late they pay; then rows made by two synthesizers, or repeated from the people who taught them: how
far known answers are found, and what it costs. The bound of the gate was chosen on the first.
"""

from __future__ import annotations

import io
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

import sfumato as sf
from benchmarks.composition import QUASI, SENSITIVE
from benchmarks.report import data_folder, keep
from sfumato.evidence.attacks.both import Both, told_by_both
from sfumato.pipeline.both import joined
from sfumato.pipeline.composing import People
from sfumato.project import Project

COPIES = (0.0, 0.1, 0.5, 1.0)
#: The file, its separator, the columns that are known, and the one that is sensitive.
DATA = {
    "adult": ("arx/adult/adult.csv", ";", QUASI, SENSITIVE),
    "bank": (
        "uci_credit_default/UCI_Credit_Card.csv.gz", ",",
        ("SEX", "AGE", "EDUCATION", "MARRIAGE", "LIMIT_BAL"), "PAY_0",
    ),
}  # fmt: skip


def main() -> int:
    """It needs ``SFUMATO_BENCH_DATA``."""
    folder = data_folder()
    if folder is None:
        print("skipped: SFUMATO_BENCH_DATA names no folder")
        return 0
    rows = []
    for name, (path, separator, known, secret) in DATA.items():
        table = pl.read_csv(folder / path, separator=separator).select(*known, secret)
        for method in ("copula", "autoregressive"):
            both = _both(table, method)
            # What is compiled is compiled.
            told_by_both(both, bytes(32), "")
            rows += [{"data": name, **_gain(both, method, share)} for share in COPIES]
    keep(
        "both_releases",
        rows,
        "5-anonymous and made: people guessed by both and not by one, less others",
    )
    return 0


def _policy(table: pl.DataFrame, **how: Any) -> dict[str, Any]:
    *known, secret = table.columns
    return {
        "sfumato": 1,
        "dataset": {"name": "people", "source": {"path": "unused.csv"}},
        "columns": {name: {"role": "quasi-identifier", "why": "known"} for name in known}
        | {secret: {"role": "insensitive", "sensitive": True, "why": "told"}},
        "evidence": {"holdout": 0.2, "attacks": [], "utility": []},
        "approvals": [{"by": "a benchmark", "what": f"column {secret}", "why": "the sensitive column"}],
        **how,
    }


def _both(table: pl.DataFrame, method: str) -> Both:
    """Both releases, as the way of made rows joins them."""
    models = [{"model": "k-anonymity", "k": 5}]
    own = _policy(table, anonymity={"method": "partition", "models": models, "suppression": 0.05})
    with tempfile.TemporaryDirectory() as place:
        keys = Path(place, "keys")
        for name, policy in (
            ("own", own),
            ("made", _policy(table, synthesis={"method": method, "why": "to train on"})),
        ):
            sf.run(policy, table, output=Path(place, name), project=keys)
        project = Project.open(keys, create=False)
        first, second = (record.made for record in project.ledger.passed())
        people = project.people.of(first), project.people.beside(second)
        rows = project.people.of(second)
    assert rows is not None and people[0] is not None and people[1] is not None
    whose, everybody = (People.from_parquet(content) for content in people if content is not None)
    assert whose is not None and everybody is not None
    found = joined(whose, everybody, pl.read_parquet(io.BytesIO(rows)))
    assert isinstance(found, Both)
    return found


def _gain(both: Both, method: str, share: float) -> dict[str, Any]:
    """The attack, with a share of the made rows replaced by people's own."""
    taught = both.people.filter(pl.Series(both.taught)).select(both.made.columns)
    repeated = taught.sample(round(share * taught.height), seed=1)
    mixed = replace(both, made=pl.concat([repeated, both.made[: taught.height - repeated.height]]))
    begun = time.process_time()
    found = told_by_both(mixed, bytes(32), "")
    taken = time.process_time() - begun
    figures = {(one.metric, one.target): one for one in found}
    excess = figures["composition.both_excess", "release"]
    success = next(one for (metric, _), one in figures.items() if metric == "composition.both_success")
    return {
        "made by": method,
        "copies": share,
        "excess": excess.value,
        "low": excess.low,
        "high": excess.high,
        "guessed by both": success.value,
        "better one": success.baseline,
        "others by both": success.control,
        "people": excess.n,
        "cpu s": taken,
    }


if __name__ == "__main__":
    raise SystemExit(main())

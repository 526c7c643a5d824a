"""Multidimensional recoding against anonypyx, and learning from what it releases.

Data: ``arx/adult/adult.csv`` in the folder that SFUMATO_BENCH_DATA names (30,162 rows). NCP is the mean
over cells: age by its interval, the others by (distinct values covered - 1) / (domain - 1). CPU seconds are
from the distinct tuples in memory to the classes, kernels warm. anonypyx calls t-closeness a bound on the
largest difference of one value's share; the earth mover's distance is stated beside it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.report import data_folder, keep
from sfumato.anonymity.holding import holding
from sfumato.anonymity.models.k_anonymity import KAnonymity
from sfumato.anonymity.models.l_diversity import LDiversity
from sfumato.anonymity.models.t_closeness import TCloseness
from sfumato.anonymity.partition.problem import Assignment, Axis, Problem, certainty_penalty
from sfumato.anonymity.partition.splits import split
from sfumato.classes.contingency import Sensitive
from sfumato.classes.table import ClassTable, Units
from sfumato.contracts import COUNT, PrivacyModel
from sfumato.hierarchies.ladder import Ladder

SEVEN = ("age", "sex", "race", "marital-status", "education", "native-country", "workclass")
NINE = (*SEVEN, "occupation", "salary-class")
EIGHT = (*SEVEN, "occupation")
TARGET = "salary-class"

#: AUC to reach by k, what a split by NCP alone reached, and the splits of the rows.
LEARNING = {5: (0.8855, 0.8831), 50: (0.8800, 0.8651)}
SEEDS = 5
TRAIN = 20_000
#: Student's t for a 95 % interval of a mean of five.
T_FIVE = 2.776


class LargestDifference:
    """t-closeness as anonypyx has it: no value's share in a class is further than t from its overall one."""

    summary = ""
    monotone, absorbing, whole = True, False, False
    Params: Any = None

    def __init__(self, params: tuple[str, float]) -> None:
        self.on: str | None = params[0]
        self.t = params[1]

    def holds(self, table: ClassTable) -> NDArray[np.bool_]:
        """Which classes are near enough in the values that they have."""
        column = table.sensitive[self.on or ""]
        classes = np.repeat(np.arange(len(table.sizes)), np.diff(column.starts))
        share = column.counts / table.sizes[classes]
        off = np.abs(share - column.overall[column.values] / column.overall.sum())
        far = np.bincount(classes, off > self.t + 1e-9, len(table.sizes))
        return far == 0

    def explain(self) -> str:
        """Nothing that a dossier prints."""
        return ""


def k_anonymity(k: int) -> KAnonymity:
    """k-anonymity as a policy would ask for it."""
    return KAnonymity(KAnonymity.Params(k=k))


def problem(
    frame: pl.DataFrame,
    columns: Sequence[str],
    models: Sequence[PrivacyModel],
    sensitive: Sequence[str] = (),
    domains: pl.DataFrame | None = None,
) -> Problem:
    """Free axes: the interval of age, sets of the others; domains are those of another frame if given."""
    units = frame.group_by([*columns, *sensitive], maintain_order=True).len(COUNT)
    axes, positions = [], []
    for column in columns:
        values = (frame if domains is None else domains)[column].unique().sort()
        numbers = values.cast(pl.Float64).to_numpy() if values.dtype.is_numeric() else None
        axes.append(Axis(Ladder.fixed(values.alias(column)), True, numbers))
        positions.append(_codes(values, units[column]))
    counts = units[COUNT].cast(pl.Int64).to_numpy()
    columns_of = {}
    for column in sensitive:
        values = frame[column].unique().sort()
        codes = _codes(values, units[column])
        columns_of[column] = Sensitive(codes, np.bincount(codes, counts, len(values)).astype(np.int64))
    return Problem(axes, np.array(positions), Units(counts, columns_of), list(models))


def _codes(values: pl.Series, column: pl.Series) -> NDArray[np.int64]:
    index = {value: i for i, value in enumerate(values)}
    return np.array([index[value] for value in column], dtype=np.int64)


def timed(asked: Problem, **how: Any) -> tuple[Assignment, float]:
    """The classes and the median CPU seconds of three warm runs."""
    found, times = split(asked, **how), []
    for _ in range(3):
        start = time.process_time()
        found = split(asked, **how)
        times.append(time.process_time() - start)
    return found, statistics.median(times)


def penalties(frame: pl.DataFrame) -> tuple[list[dict[str, Any]], int]:
    """NCP and CPU seconds beside anonypyx's; how many releases break a model."""
    occupation = ["occupation"]
    k5 = k_anonymity(5)
    by_l = LDiversity(LDiversity.Params(on="occupation", l=3))
    by_t = TCloseness(TCloseness.Params(on="occupation", t=0.3))
    by_difference = LargestDifference(("occupation", 0.3))
    bootstrap = frame[np.random.default_rng(0).integers(0, frame.height, 1_000_000)]
    asked: list[tuple[str, Problem, float | None, float | None, float | None, float | None]] = [
        ("7 QIs, k=5", problem(frame, SEVEN, [k5]), 0.0187, 42.5, 0.013, 0.1),
        ("9 QIs, k=5", problem(frame, NINE, [k5]), 0.0327, 62.8, 0.024, 0.1),
        ("7 QIs, k=5, l=3", problem(frame, SEVEN, [k5, by_l], occupation), 0.0204, 41.0, 0.016, None),
        ("7 QIs, k=5, t=.3 largest difference", problem(frame, SEVEN, [k5, by_difference], occupation),
         0.0506, 26.0, 0.035, None),
        ("7 QIs, k=5, t=.3 earth mover", problem(frame, SEVEN, [k5, by_t], occupation),
         None, None, None, None),
        ("9 QIs, k=5, 1,000,000 rows", problem(bootstrap, NINE, [k5]), None, None, None, 2.6),
    ]  # fmt: skip
    rows, broken = [], 0
    for name, each, peer, peer_seconds, goal, most in asked:
        for passes in (0, 1, 3):
            found, seconds = timed(each, passes=passes)
            holds = bool(holding(each.models, found.table(each.units)).all())
            broken += not holds
            rows.append(
                {
                    "work": name,
                    "passes": passes,
                    "NCP": round(certainty_penalty(each, found), 5),
                    "anonypyx": "" if peer is None else peer,
                    "to reach": "" if goal is None else goal,
                    "classes": found.size,
                    "CPU s": round(seconds, 3),
                    "anonypyx CPU s": "" if peer_seconds is None else peer_seconds,
                    "at most": "" if most is None else most,
                    "holds": "yes" if holds else "NO",
                }
            )
    return rows, broken


def indicators(frame: pl.DataFrame, domains: pl.DataFrame) -> NDArray[np.float64]:
    """Age as it is and an indicator for every category, shape (rows, features)."""
    columns = [frame["age"].cast(pl.Float64).to_numpy()]
    for column in EIGHT[1:]:
        values = frame[column].to_numpy()
        columns += [(values == value).astype(np.float64) for value in domains[column].unique().sort()]
    return np.stack(columns, axis=1)


def information(asked: Problem, codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """What each column by itself says about the target (mutual information, nats), shape (columns,)."""
    counts = asked.units.counts
    found = []
    for at in asked.positions:
        joint = np.zeros((at.max() + 1, codes.max() + 1))
        np.add.at(joint, (at, codes), counts)
        joint /= joint.sum()
        apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
        seen = joint > 0
        found.append(float((joint[seen] * np.log(joint[seen] / apart[seen])).sum()))
    return np.array(found)


def learned(
    frame: pl.DataFrame, train: NDArray[np.int64], models: Sequence[PrivacyModel], **how: Any
) -> tuple[NDArray[np.float64], float]:
    """The training features of a release, and the share of positives in classes of one target value.

    A row is what its class tells: the mean of each number and the share of each category.
    """
    rows = frame[train]
    asked = problem(rows, EIGHT, models, [TARGET], frame)
    codes = asked.units.sensitive[TARGET].codes
    if how.pop("informed", False):
        how["weights"] = np.sqrt(information(asked, codes))
    found = split(asked, target=codes if how.pop("aware") else None, **how)
    classes = np.empty(len(codes), dtype=np.int64)
    classes[found.units] = found.classes
    units = rows.group_by([*EIGHT, TARGET], maintain_order=True).len().with_row_index("unit")
    unit = rows.join(units, on=[*EIGHT, TARGET], how="left", maintain_order="left")["unit"].to_numpy()
    number = classes[unit]
    sizes = np.bincount(number)
    exact = indicators(rows, frame)
    means = np.stack([np.bincount(number, feature) / sizes for feature in exact.T], axis=1)
    positives = np.bincount(number, (rows[TARGET] == ">50K").to_numpy())
    pure = positives == sizes
    return means[number], float(positives[pure].sum() / positives.sum())


def learning(frame: pl.DataFrame, seeds: int = SEEDS) -> list[dict[str, Any]]:
    """AUC on raw rows of a learner of released ones, paired with the raw learner over splits of the rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    two = LDiversity(LDiversity.Params(on=TARGET, l=2))
    releases: dict[tuple[int, str], tuple[list[PrivacyModel], dict[str, Any]]] = {}
    for k in LEARNING:
        releases[k, "blind"] = [k_anonymity(k)], {"aware": False}
        releases[k, "weights by information"] = [k_anonymity(k)], {"aware": False, "informed": True}
        releases[k, "weights, l=2"] = [k_anonymity(k), two], {"aware": False, "informed": True}
        releases[k, "target-aware"] = [k_anonymity(k)], {"aware": True, "focus": 8.0, "passes": 0}
        releases[k, "target-aware, l=2"] = (
            [k_anonymity(k), two],
            {"aware": True, "focus": 8.0, "passes": 0},
        )
    features = indicators(frame, frame)
    target = (frame[TARGET] == ">50K").to_numpy().astype(np.int64)
    areas: dict[tuple[int, str], list[float]] = {key: [] for key in [(1, "raw"), *releases]}
    disclosed: dict[tuple[int, str], list[float]] = {key: [] for key in areas}
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(frame.height)
        train, test = order[:TRAIN], order[TRAIN:]
        for key in areas:
            seen, pure = features[train], 1.0
            if key in releases:
                models, how = releases[key]
                seen, pure = learned(frame, train, models, **how)
            model = HistGradientBoostingClassifier(random_state=0).fit(seen, target[train])
            areas[key].append(float(roc_auc_score(target[test], model.predict_proba(features[test])[:, 1])))
            disclosed[key].append(pure)
    rows = []
    for (k, name), found in areas.items():
        off = np.array(found) - np.array(areas[1, "raw"])
        half = T_FIVE * off.std(ddof=1) / np.sqrt(len(off)) if len(off) > 1 else float("nan")
        goal, peer = LEARNING.get(k, ("", ""))
        rows.append(
            {
                "k": k,
                "release": name,
                "AUC": round(float(np.mean(found)), 4),
                "less than raw": f"{-off.mean():.4f} +- {half:.4f}",
                "to reach": goal,
                "prototype by NCP": peer,
                "positives in pure classes": f"{np.mean(disclosed[k, name]):.1%}",
            }
        )
    return rows


def main() -> int:
    """Penalties and learning; 1 if any release breaks a model."""
    folder = data_folder()
    if folder is None:
        print("splits: not run; SFUMATO_BENCH_DATA names no folder")
        return 0
    frame = pl.read_csv(folder / "arx" / "adult" / "adult.csv", separator=";", infer_schema_length=None)
    rows, broken = penalties(frame)
    keep("splits", rows, "Adult, free intervals and sets; anonypyx 0.2.11 as measured")
    keep("splits-learning", learning(frame), "Adult, 8 QIs, 20,000 train and 10,162 raw test rows, 5 splits")
    return int(broken > 0)


if __name__ == "__main__":
    raise SystemExit(main())

"""The verbs from Python: the caller's tables in, the same kind of table out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from sfumato.anonymity.assess import Assessment
from sfumato.contracts import ROW
from sfumato.core.errors import InputError, Problem, nearest
from sfumato.core.values import Decision, Finding, Inventory, Plan
from sfumato.engines.interchange import like, to_polars
from sfumato.engines.local import LocalEngine
from sfumato.engines.sources import FileSource
from sfumato.pipeline import revisit, verbs, withdrawing
from sfumato.pipeline.snapshot import Snapshot
from sfumato.policy.load import LoadedPolicy, load_policy, policy_from
from sfumato.project import Project, locate
from sfumato.release.layout import DATA
from sfumato.release.verify import Verification
from sfumato.release.verify import verify as verify_release
from sfumato.release.withdrawal import Withdrawal
from sfumato.tuning import verb
from sfumato.tuning.asked import asked_from, load_asked
from sfumato.tuning.budget import budget_of
from sfumato.tuning.outcome import Tuned

#: The ending of a file that holds a model.
MODEL = ".safetensors"

PolicyLike = str | Path | Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """What a run found, did and decided.

    ``folder`` is the release, ``None`` for a plan. ``data`` reads the released rows in the kind of
    table that was given (Polars where the source was files). ``kept`` are findings that stay in the house.
    """

    inventory: Inventory | None
    plan: Plan
    findings: tuple[Finding, ...]
    decision: Decision | None
    folder: Path | None
    kept: tuple[Finding, ...] = ()
    _model: Any = None
    _types: Any = None

    @property
    def passed(self) -> bool:
        """Whether the gate passed it; False for a plan, which has met no gate."""
        return self.decision is not None and self.decision.passed

    @cached_property
    def data(self) -> Any:
        """The released rows; of several tables a mapping of them by name.

        Raises:
            InputError: ``usage`` where there are none: a plan, a model, or a release that the gate refused.
        """
        path, made = self._file(), self.plan.synthesis
        if path.suffix == MODEL:
            raise InputError("usage", "a model left, and no rows", remedy="it is .model")
        if made is None or not made.tables:
            return self._read(path, self._types, self._model)
        given = self._model if isinstance(self._model, Mapping) else {self.plan.dataset: self._model}
        return {
            name: self._read(path.with_stem(name), self._types[name], given.get(name)) for name in made.tables
        }

    @staticmethod
    def _read(path: Path, types: Any, model: Any) -> Any:
        source = FileSource((path,), path.suffix[1:], types=types)
        frame = LocalEngine().scan(source).drop(ROW).collect(engine="streaming")
        return like(frame, model)

    @cached_property
    def model(self) -> Any:
        """The released model, as an estimator of scikit-learn's kind.

        Raises:
            InputError: ``usage`` where there is none.
        """
        from sfumato.dp.training.saved import loaded

        path = self._file()
        if path.suffix != MODEL:
            raise InputError("usage", "rows left, and no model", remedy="they are .data")
        return loaded(path)

    def _file(self) -> Path:
        if not self.passed or self.folder is None:
            raise InputError(
                "usage", "there are no released rows, and no model", remedy="see .decision for the reasons"
            )
        return min(path for path in (self.folder / DATA).iterdir() if path.is_file())

    def finding(self, metric: str, target: str = "release") -> Finding:
        """One finding by its metric and target; KeyError if there is none."""
        for finding in self.findings:
            if (finding.metric, finding.target) == (metric, target):
                return finding
        raise KeyError(f"{metric} on {target}")

    def _repr_html_(self) -> str:
        from html import escape

        if self.decision is None:
            return f"<p>A plan for {escape(self.plan.dataset)}; it has met no gate.</p>"
        rows = "".join(
            f"<tr><td>{'passed' if reason.passed else 'refused'}</td><td>{escape(reason.threshold)}</td>"
            f"<td>{escape(reason.words)}</td></tr>"
            for reason in self.decision.reasons
        )
        word = "passed" if self.passed else "refused"
        return (
            f"<table><caption>The gate {word} {escape(self.plan.dataset)}</caption>"
            f"<thead><tr><th>outcome</th><th>threshold</th><th>why</th></tr></thead><tbody>{rows}</tbody></table>"
        )


def inspect(source: Any, *, target: str | None = None, subject: str | None = None) -> Inventory:
    """What a dataset is: roles, identifiers, uniqueness, what each column tells about the target.

    Args:
        source: a path, pattern or folder, or a pandas, Polars or PyArrow table.
        target: the column that a model is to predict.
        subject: the column that says which rows are one person's.

    Raises:
        InputError: the source cannot be read, or a column named is not there.

    >>> import polars as pl
    >>> found = inspect(pl.DataFrame({"mail": [f"p{i}@example.org" for i in range(50)], "x": [1, 2] * 25}))
    >>> found.column("mail").role.value
    'direct-identifier'
    """
    data: FileSource | pl.DataFrame
    data = FileSource.find(str(source), Path()) if isinstance(source, str | Path) else to_polars(source)
    return verbs.inspect_source(data, target=target, subject=subject)


def risk(
    source: Any,
    quasi: Sequence[str] | None = None,
    sensitive: Sequence[str] = (),
    *,
    fraction: float | None = None,
    subject: str | None = None,
    linked: bool = False,
) -> Assessment:
    """Check data as they are against every privacy model at once; nothing is changed.

    Args:
        source: a path, pattern or folder, or a pandas, Polars or PyArrow table.
        quasi: the columns that outsiders may know; None takes those that :func:`inspect` finds.
        sensitive: the columns that would harm a person if learned.
        fraction: the rows' share of the population, for the risks in it.
        subject: the column that says whose a row is; without it a row is a person.
        linked: whether who sees the data can tell which rows are one person's; people are then alike only
            if all of their rows are.

    Raises:
        InputError: the source cannot be read, or a column named is not there.

    >>> import polars as pl
    >>> table = pl.DataFrame({"age": [30, 30, 40, 40], "illness": ["flu", "cold", "flu", "flu"]})
    >>> found = risk(table, ["age"], ["illness"])
    >>> found.k, found.exposures[0].distinct_l
    (2, 1)
    """
    data: FileSource | pl.DataFrame
    data = FileSource.find(str(source), Path()) if isinstance(source, str | Path) else to_polars(source)
    return verbs.assess_source(data, quasi, sensitive, fraction=fraction, subject=subject, linked=linked)


def check(policy: PolicyLike, data: Any = None, *, project: str | Path | None = None) -> tuple[Problem, ...]:
    """Every problem of a policy against its source; arguments as :func:`run`.

    Raises:
        PolicyError: the policy cannot be read at all.
    """
    loaded, snapshot = _opened(policy, data, project)
    return verbs.check(loaded, snapshot)


def plan(policy: PolicyLike, data: Any = None, *, project: str | Path | None = None) -> Result:
    """Fit a policy and see what would happen; nothing is written. Arguments and errors as :func:`run`."""
    loaded, snapshot = _opened(policy, data, project)
    found = verbs.plan(loaded, snapshot)
    return Result(found.inventory, found.plan, found.findings, None, None, _model=data)


def run(
    policy: PolicyLike,
    data: Any = None,
    *,
    output: str | Path = "sfumato-output",
    project: str | Path | None = None,
) -> Result:
    """The whole way: transform, attack the result, decide, release or refuse.

    Args:
        policy: a policy file, or a mapping of the same shape.
        data: a pandas, Polars or PyArrow table to take in place of the policy's source; of a policy with
            several tables, a mapping of them by name.
        output: the folder that gets ``release/`` and ``custody/``.
        project: the folder of keys and ledger; by default ``SFUMATO_HOME``, else ``.sfumato`` beside
            the policy file, or in the current folder for a mapping.

    Returns:
        What was found, done and decided; ask :attr:`Result.passed`.

    Raises:
        PolicyError: the policy is wrong, or does not fit its source.
        InputError: from any step; nothing is left under the final names then.
    """
    loaded, snapshot = _opened(policy, data, project)
    found = verbs.run(loaded, snapshot, Path(output))
    assert found.release is not None
    return Result(
        found.inventory,
        found.plan,
        found.findings,
        found.decision,
        found.release.folder,
        found.kept,
        data,
        found.types,
    )


def tune(
    policy: PolicyLike,
    data: Any = None,
    *,
    output: str | Path | None = None,
    budget: str | None = None,
    trials: int | None = None,
    space: str | Path | Mapping[str, Any] | None = None,
    resume: bool = False,
    project: str | Path | None = None,
) -> Tuned:
    """Search policies for the best of measured risk and measured use; nothing is released.

    Args:
        policy, data, project: as :func:`run` takes them.
        output: the folder that gets page, pictures and ready policy files; without one nothing is written.
        budget: how long it may take, such as "10m".
        trials: how many policies to try, the same ones every time; 40 if neither is said.
        space: aims, limits and what may differ, as a file or a mapping of the same shape.
        resume: go on with the search that was interrupted.

    Returns:
        The frontier; ask :attr:`Tuned.best` and :meth:`Tuned.policy`.

    Raises:
        PolicyError: the policy is wrong, or does not fit its source.
        InputError: what is asked cannot be meant, or the evidence does not measure it.
    """
    limit = budget_of(budget, trials)
    if isinstance(space, Mapping):
        asked = asked_from(space, "space")
    else:
        asked = load_asked(None if space is None else Path(space))
    loaded, snapshot = _opened(policy, data, project)
    return verb.tune(
        loaded,
        snapshot,
        asked,
        budget=limit,
        tree=policy if isinstance(policy, Mapping) else None,
        folder=None if output is None else Path(output),
        resume=resume,
    )


def attack(folder: str | Path, *, against: str | None = None, truth: str | None = None) -> list[Finding]:
    """Attack a release again; see :func:`sfumato.pipeline.revisit.attack`."""
    return revisit.attack(Path(folder), against=against, truth=truth)


def evaluate(folder: str | Path) -> list[Finding]:
    """Utility and fairness of a release; see :func:`sfumato.pipeline.revisit.evaluate`."""
    return revisit.evaluate(Path(folder))


def mapping(folder: str | Path, *, project: str | Path | None = None) -> pl.DataFrame:
    """Which value became which label in a release, from its custody: for the house alone.

    For full-domain generalization a row for each ``column``, ``value`` and ``label``; where each class has
    labels of its own, a row for each tuple with the label of every column.

    Raises:
        InputError: ``custody-closed`` without the project's keys, or where the table was not recoded.
    """
    return revisit.mapping(Path(folder), project=None if project is None else Path(project))


def people_at_risk(folder: str | Path, *, project: str | Path | None = None) -> pl.DataFrame:
    """What the attacks found of single people, from a release's custody: for the house alone.

    Columns ``metric``, ``evidence_id`` and ``risk``, a row for each person of the evidence's sample whom an
    attack looked at. The ids are random and the same for all attacks of one run: they tell how many people
    are at risk from several sides, and not who they are.

    Raises:
        InputError: ``custody-closed`` without the project's keys.
    """
    return revisit.people_at_risk(Path(folder), project=None if project is None else Path(project))


def verify(release: str | Path, *, key: str | Path | None = None) -> Verification:
    """Check a release against its signed manifest; see :func:`sfumato.release.verify.verify`."""
    path = Path(release)
    expected = revisit.expected_key(path, Path(key) if key is not None else None, None)
    return verify_release(path, key_pem=expected, withdrawn=withdrawing.withdrawn_at_home(path, None))


def withdraw(release: str | Path, *, why: str, by: str, project: str | Path | None = None) -> Withdrawal:
    """Take back a release that never left: it is destroyed, and no longer counted beside later ones.

    What left cannot be taken back: whoever has it keeps what it tells, and it must go on being counted. What
    a release cost of a privacy budget stays spent.

    Args:
        release: the folder ``release/``, or the one that holds it.
        why: how it is known that nobody outside has a copy.
        by: the name of the person who answers for that.
        project: the project's folder, as for :func:`run`.

    Raises:
        InputError: ``release-withdrawn``: the project's ledger does not have it, the gate let no data leave,
            or it was withdrawn already; ``release-altered``: it is not as it was made.
    """
    return withdrawing.withdraw(
        Path(release), why=why, by=by, project=None if project is None else Path(project)
    )


def _opened(policy: PolicyLike, data: Any, project: str | Path | None) -> tuple[LoadedPolicy, Snapshot]:
    if isinstance(policy, Mapping):
        loaded = LoadedPolicy(policy_from(policy), Path("policy"), {})
    else:
        loaded = load_policy(Path(policy))
    place = locate(loaded.folder, Path(project) if project is not None else None)
    name, tables = loaded.policy.dataset.name, data if isinstance(data, Mapping) else {}
    if loaded.policy.tables and tables:
        _refuse_unknown(tables, (name, *loaded.policy.tables))
        data = tables.get(name)
    given = {table: to_polars(rows) for table, rows in tables.items() if table in loaded.policy.tables}
    table = None if data is None else to_polars(data)
    return loaded, Snapshot.open(loaded.policy, loaded.folder, Project.open(place), table, given)


def _refuse_unknown(tables: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in tables:
        if name not in known:
            raise InputError(
                "unknown-name",
                "the policy has no such table",
                where=f"data: {name}",
                remedy=nearest(name, known),
            )

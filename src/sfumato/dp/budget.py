"""The budget of a dataset: charged before anything is drawn, over all its releases."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, get_args

from sfumato.core.canonical import canonical_json
from sfumato.core.errors import InputError, RefusedError
from sfumato.dp.filters import Cost, FilterName, accepts, make_filter
from sfumato.dp.statements import (
    Statement,
    Unit,
    costs,
    filter_of,
    limits,
    share_of,
    statement_of,
)
from sfumato.project.budgets import BUDGETS, Account, Budgets

if TYPE_CHECKING:
    from dp_accounting import DpEvent

    from sfumato.dp.accounting import Relation
    from sfumato.project import Project


@dataclass(frozen=True)
class Receipt:
    """A spend that is on record: nothing may be drawn without one.

    ``number`` is its line in the budget, ``share`` the part of the whole budget that it took.
    """

    dataset: str
    number: int
    place: str
    event: str
    share: float


class Budget:
    """What may be learned of a dataset's people, over all its releases; charged before anything is drawn.

    A budget made like this lives in memory, for one process; :meth:`open` keeps it in the project. A copy is
    the same budget (scikit-learn copies the parameters of estimators), or one could be spent twice.

    Args:
        epsilon: the most that all releases together may cost, above zero.
        delta: with which probability at most it may be more; zero for pure mechanisms only.
        unit: what is protected: a "row", or a "subject" with all its rows.
        relation: which data are neighbours: "add-remove" or "replace-one".
        filter: the rule that refuses (:mod:`sfumato.dp.filters`): "rdp", "zcdp" or "basic".
        dataset: its name.

    Raises:
        InputError: ``usage``: figures or words that are none.

    >>> from dp_accounting import LaplaceDpEvent
    >>> budget = Budget(1.0, 0.0, filter="basic")
    >>> budget.spend(LaplaceDpEvent(2.0), place="count of rows").share
    0.5
    >>> budget.statement().left
    0.5
    """

    def __init__(
        self,
        epsilon: float,
        delta: float,
        *,
        unit: Unit = "row",
        relation: Relation = "add-remove",
        filter: FilterName = "rdp",
        dataset: str = "data",
    ) -> None:
        self._on(Budgets(None), dataset, _declaration(epsilon, delta, unit, relation, filter))

    @classmethod
    def open(
        cls,
        dataset: str,
        project: Project,
        *,
        epsilon: float | None = None,
        delta: float | None = None,
        unit: Unit | None = None,
        relation: Relation | None = None,
        filter: FilterName | None = None,
    ) -> Self:
        """The budget of a dataset in a project, declared when it is first opened with an epsilon and a delta.

        What is left out is as it stands on record, or by default ("row", "add-remove", "rdp").

        Raises:
            InputError: ``budget-undeclared``: there is none and none is declared; ``budget-mismatch``:
                another is on record (:meth:`raise_to` raises it); ``project-ledger``.
        """
        store = Budgets(project.folder / BUDGETS)
        account = store.account(dataset)
        if account is not None:
            declared = account.declared
        elif epsilon is None or delta is None:
            raise InputError(
                "budget-undeclared",
                "no privacy budget was declared for this dataset",
                where=dataset,
                remedy="declare one: an epsilon and a delta for all its releases together",
            )
        else:
            words = (unit or "row", relation or "add-remove", filter or "rdp")
            declared = _declaration(epsilon, delta, *words)
        self = cls.__new__(cls)
        self._on(store, dataset, declared)
        self._same(epsilon=epsilon, delta=delta, unit=unit, relation=relation, filter=filter)
        return self

    def _on(self, store: Budgets, dataset: str, declared: Mapping[str, Any]) -> None:
        account = store.declare(dataset, declared, time=_now())
        self._store = store
        self.dataset = dataset
        self.unit: Unit = account.declared["unit"]
        self.relation: Relation = account.declared["relation"]
        self.filter: FilterName = account.declared["filter"]

    def _same(self, **asked: Any) -> None:
        """Refuse a declaration that is not the one on record."""
        account = self._account()
        epsilon, delta = limits(account)
        on_record = {**account.declared, "epsilon": epsilon, "delta": delta}
        for name, value in asked.items():
            if value is not None and value != on_record[name]:
                raise InputError(
                    "budget-mismatch",
                    f"the budget on record has {name} {on_record[name]}, not {value}",
                    where=self.dataset,
                    remedy="leave it as it is; Budget.raise_to raises epsilon or delta, with name and reason",
                )

    @property
    def epsilon(self) -> float:
        """The declared epsilon, as last raised."""
        return limits(self._account())[0]

    @property
    def delta(self) -> float:
        """The declared delta, as last raised."""
        return limits(self._account())[1]

    def spend(
        self,
        event: DpEvent,
        *,
        place: str,
        by: str = "",
        why: str = "",
        key: str = "",
        delta: float | None = None,
    ) -> Receipt:
        """Charge an event, durably, before its noise is drawn.

        The first spend of a budget may be one that fits by PLD alone: nothing was answered yet, so that
        nothing in it was chosen by answers. It then takes the whole budget.

        Args:
            event: everything that will be done for the receipt, repetitions included.
            place: where the answers go, in words ("histogram of age").
            by: who asks.
            why: what for.
            key: digest of what is asked of which data, for :meth:`replay`.
            delta: for the filter "basic": at which delta an event that is not pure is charged.

        Raises:
            RefusedError: ``budget-spent``: it does not fit in what is left; nothing was written.
            InputError: ``event-unsupported``: the budget's filter cannot carry the event; ``project-ledger``.
        """
        from sfumato.dp.events import to_json, words

        document = to_json(event)
        cost = filter_of(self._account()).cost(event, delta)
        shares: list[float] = []
        number = self._store.enter(
            self.dataset,
            time=_now(),
            kind="spend",
            place=place,
            by=by,
            why=why,
            key=key,
            event=document,
            cost={"coin": cost.coin if math.isfinite(cost.coin) else None, "delta": cost.delta},
            rule=lambda account: shares.append(_share_if_it_fits(account, event, cost)),
        )
        return Receipt(self.dataset, number, place, words(event), shares[0])

    def affords(self, event: DpEvent, *, delta: float | None = None) -> bool:
        """Whether a spend of the event would be accepted now; nothing is charged.

        Raises:
            InputError: ``event-unsupported``.
        """
        account = self._account()
        try:
            _share_if_it_fits(account, event, filter_of(account).cost(event, delta))
        except RefusedError:
            return False
        return True

    def settle(self, receipt: Receipt, answers: Mapping[str, Any]) -> None:
        """Store the answers (JSON) that were drawn for a spend, once.

        Raises:
            InputError: ``usage``: the spend is not of this budget, its answers are stored already, or they
                are not JSON.
        """
        try:
            canonical_json(dict(answers))
        except (TypeError, ValueError):
            raise InputError(
                "usage",
                "the answers are not JSON",
                where=self.dataset,
                remedy="store numbers, words and lists of them, and null for what is no number",
            ) from None
        if receipt.dataset != self.dataset or not self._store.settle(self.dataset, receipt.number, answers):
            raise InputError(
                "usage",
                "these answers belong to no open spend of this budget",
                where=self.dataset,
                remedy="settle each receipt once, with the budget that gave it",
            )

    def replay(self, key: str) -> dict[str, Any] | None:
        """The answers stored for what was asked under a key, free of charge; None if there are none."""
        return self._store.answers(self.dataset, key)

    def unbounded(self, *, place: str, by: str = "", why: str = "") -> Receipt:
        """Enter a release of the same people without differential privacy."""
        number = self._store.enter(self.dataset, time=_now(), kind="unbounded", place=place, by=by, why=why)
        return Receipt(self.dataset, number, place, "no differential privacy", math.inf)

    def raise_to(
        self, epsilon: float | None = None, delta: float | None = None, *, by: str, why: str
    ) -> None:
        """Raise the budget, with a name and a reason that stay on record.

        The filter then holds for the raised figures. That they were raised was perhaps decided after seeing
        answers, and no theorem covers that decision: somebody answers for it.

        Raises:
            InputError: ``usage``: it would not be raised, or nobody answers for it.
        """
        if not by.strip() or not why.strip():
            raise InputError(
                "usage", "a budget is raised by somebody, for a reason", remedy="say by= and why="
            )

        def rule(account: Account) -> tuple[float, float]:
            return _raised(limits(account), epsilon, delta, self.dataset)

        self._store.raise_to(self.dataset, time=_now(), by=by, why=why, rule=rule)

    def statement(self) -> Statement:
        """What was declared, spent and is left, with every entry."""
        return statement_of(self._account())

    def _account(self) -> Account:
        account = self._store.account(self.dataset)
        if account is None:
            raise InputError(
                "project-ledger",
                "the budget is gone from the ledger",
                where=self.dataset,
                remedy="restore it from a backup",
            )
        return account

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> Any:
        if self._store.path is None:
            raise InputError(
                "usage",
                "a budget in memory cannot go to another process, which could spend it again",
                where=self.dataset,
                remedy="keep it in a project (Budget.open)",
            )
        return _reopened, (self.dataset, self._store.path)

    def __repr__(self) -> str:
        epsilon, delta = limits(self._account())
        return f"Budget(epsilon={epsilon:g}, delta={delta:g}, unit={self.unit!r}, dataset={self.dataset!r})"


def _reopened(dataset: str, path: Path) -> Budget:
    budget = Budget.__new__(Budget)
    store = Budgets(path)
    account = store.account(dataset)
    if account is None:
        raise InputError(
            "budget-undeclared", "no privacy budget is on record here", where=dataset, remedy="declare one"
        )
    budget._on(store, dataset, account.declared)
    return budget


def _declaration(epsilon: float, delta: float, unit: str, relation: str, filter: str) -> dict[str, Any]:
    """What is written of a declaration; the order of the filter is fixed here, before any answer."""
    from sfumato.dp.stated import Relation

    _checked(epsilon, delta)
    for word, words in (
        (unit, get_args(Unit)),
        (relation, get_args(Relation)),
        (filter, get_args(FilterName)),
    ):
        if word not in words:
            raise InputError("usage", f"{word!r} is none of {', '.join(words)}", remedy="choose one of them")
    rule = make_filter(filter, epsilon, delta, relation)  # type: ignore[arg-type]
    return {
        "epsilon": float(epsilon),
        "delta": float(delta),
        "unit": unit,
        "relation": relation,
        "filter": filter,
        "order": rule.order,
    }


def _checked(epsilon: float, delta: float) -> None:
    if not (0 < epsilon < math.inf and 0 <= delta < 1):
        raise InputError(
            "usage",
            f"a budget cannot have an epsilon of {epsilon} and a delta of {delta}",
            remedy="choose a positive epsilon, and a delta far below one over the number of people",
        )


def _raised(
    old: tuple[float, float], epsilon: float | None, delta: float | None, dataset: str
) -> tuple[float, float]:
    new = (old[0] if epsilon is None else float(epsilon), old[1] if delta is None else float(delta))
    _checked(*new)
    # A delta changes what the filter is; one that was zero stays so.
    if new == old or new[0] < old[0] or new[1] < old[1] or (old[1] == 0 < new[1]):
        raise InputError(
            "usage",
            f"epsilon {old[0]:g} and delta {old[1]:g} are not raised to {new[0]:g} and {new[1]:g}",
            where=dataset,
            remedy="name a larger epsilon, or a larger delta where it is not zero",
        )
    return new


def _share_if_it_fits(account: Account, event: DpEvent, cost: Cost) -> float:
    """The share of the budget that an event takes; refused where the filter has no room for it."""
    limit = filter_of(account).limit
    share = share_of(limit, [cost])
    if accepts(limit, [*costs(account), cost]):
        return share
    if not account.spends and _fits_alone(account, event):
        return max(1.0, share)
    left = max(0.0, 1 - share_of(limit, costs(account)))
    raise RefusedError(
        "budget-spent",
        f"this would take {100 * share:.3g} % of the privacy budget, and {100 * left:.3g} % is left",
        where=account.dataset,
        remedy="ask for less or with more noise, or have the budget raised by somebody who answers for it",
    )


def _fits_alone(account: Account, event: DpEvent) -> bool:
    """Whether a schedule fixed before anything was answered is within the budget, by the best accounting."""
    from sfumato.dp.accounting import least_epsilon

    epsilon, delta = limits(account)
    return least_epsilon(event, delta, account.declared["relation"])[0] <= epsilon


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

"""What a policy asks under differential privacy: questions to be answered, or a model to be taught.

Each says what it would draw before it draws, from the declaration alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import polars as pl

from sfumato.core.keyed import derive, generator
from sfumato.core.values import Finding
from sfumato.dp.queries import QUERIES
from sfumato.dp.queries.questions import Question, answer_names, question
from sfumato.evidence.audits.outcome import findings, unaudited
from sfumato.evidence.audits.own import house
from sfumato.evidence.audits.tables import ESTIMATORS, table_training
from sfumato.evidence.models import skill
from sfumato.pipeline.snapshot import Snapshot
from sfumato.policy.private import DifferentialPrivacy, Training
from sfumato.release.account import DataFile

if TYPE_CHECKING:
    from dp_accounting import DpEvent

    from sfumato.dp.accounting import Relation
    from sfumato.dp.budget import Budget

#: The columns of the file of answers.
TYPES = {
    "name": "text",
    "cell": "text",
    "value": "number",
    "low": "number",
    "high": "number",
    "words": "text",
}
#: So many made-up people teach an audited model at most, beside so many canaries.
_MADE_UP, _CANARIES = 1000, 200
#: The people who do not teach a model are drawn by this.
_TEST = "tested"


@dataclass(frozen=True)
class Drawn:
    """What was drawn: the files that leave, the figures in them, and findings that stay in the house."""

    data: tuple[DataFile, ...] = ()
    figures: tuple[dict[str, Any], ...] = ()
    findings: tuple[Finding, ...] = ()


class Asked(Protocol):
    """What is asked, before anything is drawn."""

    kind: ClassVar[Literal["statistics", "model"]]
    stage: ClassVar[str]

    @property
    def questions(self) -> tuple[dict[str, Any], ...]:
        """As the policy has them, for the dossier."""

    @property
    def event(self) -> DpEvent:
        """What will be charged, or what costs as much."""

    def audited(self) -> list[Finding]:
        """What an audit of the mechanism finds, on rows that are made up."""

    def draw(self, budget: Budget, folder: Path) -> Drawn:
        """Charge the budget, draw, and write what leaves to the folder."""


def asked_of(snapshot: Snapshot) -> Asked:
    """What the snapshot's policy asks."""
    terms = snapshot.policy.dp
    assert terms is not None
    if terms.training is not None:
        return Lesson(snapshot, terms, terms.training)
    return Questions(snapshot, terms)


@dataclass(frozen=True)
class Questions:
    """Questions that are answered together."""

    snapshot: Snapshot
    terms: DifferentialPrivacy
    kind: ClassVar[Literal["statistics", "model"]] = "statistics"
    stage: ClassVar[str] = "drawing the answers"

    @property
    def questions(self) -> tuple[dict[str, Any], ...]:
        """The queries with their parameters."""
        return tuple({"query": query.name, **query.params} for query in self.terms.queries)

    @cached_property
    def asked(self) -> list[Question]:
        """The queries as questions."""
        return [question(query.name, **query.params) for query in self.terms.queries]

    @cached_property
    def event(self) -> DpEvent:
        """All answers together."""
        from sfumato.dp.calibration import calibrate

        terms = self.terms
        rows = terms.rows_per_subject or 1
        return calibrate(
            self.asked,
            epsilon=terms.epsilon,
            noise=None,
            delta=terms.delta,
            relation=terms.relation,
            rows=rows,
        ).event

    def audited(self) -> list[Finding]:
        """The law of the noise, at the release's epsilon."""
        law = "gaussian" if self.terms.delta else "laplace"
        return findings(house(law, epsilon=self.terms.epsilon, delta=self.terms.delta))

    def draw(self, budget: Budget, folder: Path) -> Drawn:
        """Ask, and write the answers: a row for each figure, in the order in which they were asked."""
        from sfumato.dp.asking import ask

        dataset, terms = self.snapshot.policy.dataset, self.terms
        answers = ask(
            self.table(),
            self.asked,
            budget=budget,
            epsilon=terms.epsilon,
            delta=terms.delta,
            subject=dataset.subject,
            rows_per_subject=terms.rows_per_subject,
            by=dataset.owner or "",
            why=dataset.purpose or "",
            place=f"release of {len(self.asked)} answers",
        )
        table = answers.to_polars().select(*TYPES)
        path = folder / f"{dataset.name}.{self.snapshot.policy.release.format}"
        if path.suffix == ".csv":
            table.write_csv(path)
        else:
            table.write_parquet(path, compression="zstd", statistics=False)
        return Drawn((DataFile(path.name, dict(TYPES)),), tuple(table.to_dicts()))

    @property
    def names(self) -> list[str]:
        """What each answer is called."""
        return answer_names(self.asked)

    def table(self) -> pl.DataFrame:
        """The columns that are asked about, and whose each row is."""
        subject = self.snapshot.policy.dataset.subject
        reads = {name for each in self.asked for name in QUERIES.resolve(each.query).reads(each.params)}
        columns = sorted(reads | ({subject} if subject is not None else set()))
        return self.snapshot.frame.select(columns or self.snapshot.columns[:1]).collect(engine="streaming")


@dataclass(frozen=True)
class Lesson:
    """A model that is taught once, by people of whom none is among those it is tested on."""

    snapshot: Snapshot
    terms: DifferentialPrivacy
    training: Training
    kind: ClassVar[Literal["statistics", "model"]] = "model"
    stage: ClassVar[str] = "training the model"

    @property
    def questions(self) -> tuple[dict[str, Any], ...]:
        """The training with its declaration."""
        said = self.training.model_dump(mode="json", exclude_defaults=True)
        return ({"query": said.pop("model"), **said},)

    @cached_property
    def event(self) -> DpEvent:
        """What the noise of all steps over all rows may cost."""
        return at_most(self.terms.epsilon, self.terms.delta, self.terms.relation)

    def audited(self) -> list[Finding]:
        """The same training, on people drawn evenly from the declared domains."""
        asked, terms = self.training, self.terms
        if asked.model not in ESTIMATORS or len(asked.classes) != 2:
            return unaudited("only a model of two classes can be audited")
        drawn = generator(derive(self.snapshot.release_key, "made-up people"))
        rows = min(asked.size, _MADE_UP)
        table = pl.DataFrame(
            {
                **{name: drawn.uniform(*bounds, rows) for name, bounds in asked.bounds.items()},
                **{
                    name: [str(values[at]) for at in drawn.integers(0, len(values), rows)]
                    for name, values in asked.categories.items()
                },
                asked.target: [asked.classes[at] for at in drawn.integers(0, 2, rows)],
            }
        )
        audit = table_training(
            table,
            asked.target,
            name=asked.model,
            epsilon=terms.epsilon,
            delta=terms.delta,
            canaries=_CANARIES,
        )
        return findings(audit)

    def draw(self, budget: Budget, folder: Path) -> Drawn:
        """Train, and write the model; what the people who did not teach say of it stays in the house."""
        from sfumato.dp.training.saved import saved

        dataset, asked = self.snapshot.policy.dataset, self.training
        taught = self._people(inside=False)
        model = self._model(budget)
        # Where people have several rows, one of each was drawn: a person is a row then.
        people = None if dataset.subject is None else range(taught.height)
        model.fit(taught.select(asked.columns), taught[asked.target], subject=people)
        path = folder / f"{dataset.name}.safetensors"
        path.write_bytes(saved(model))
        return Drawn((DataFile(path.name, {}),), (), tuple(self._tested(model, taught)))

    def _model(self, budget: Budget | None) -> Any:
        from sfumato.dp.training.saved import ESTIMATORS as TRAINED

        asked, terms, dataset = self.training, self.terms, self.snapshot.policy.dataset
        of_classes = asked.model == "logistic-regression"
        return TRAINED[asked.model](
            budget=budget,
            epsilon=terms.epsilon,
            delta=terms.delta,
            bounds=asked.bounds,
            categories=asked.categories,
            missing=asked.missing,
            place=f"training of a {asked.model}",
            by=dataset.owner or "",
            why=asked.why,
            **({"classes": asked.classes, "size": asked.size} if of_classes else {"target": asked.range}),
        )

    def _people(self, *, inside: bool) -> pl.DataFrame:
        """The people to be tested on, or everybody else; those whose target is not declared are left out."""
        asked, subject = self.training, self.snapshot.policy.dataset.subject
        rows = self.snapshot.split(asked.test, inside, _TEST)
        target = pl.col(asked.target)
        rows = rows.filter(target.is_in(asked.classes) if asked.classes else target.is_not_null())
        columns = [*asked.columns, asked.target]
        if subject is None:
            return rows.select(columns).collect(engine="streaming")
        from sfumato.dp.contributions import bounded

        return bounded(rows.select(*columns, subject).collect(engine="streaming"), subject, 1).select(columns)

    def _tested(self, model: Any, taught: pl.DataFrame) -> list[Finding]:
        """How well it foretells people who did not teach it, beside the same model without noise."""
        asked, tested = self.training, self._people(inside=True)
        key = derive(self.snapshot.release_key, _TEST)
        if not tested.height:
            return [skill.REPORT.silent("model.accuracy", "not-measured", "nobody was kept to test it on")]
        table, plain = tested.select(asked.columns), _without_noise(model, taught, asked)
        if asked.classes:
            place = {value: number for number, value in enumerate(model.classes_.tolist())}
            truth = tested[asked.target].replace_strict(place, return_dtype=pl.Int64).to_numpy()
            return skill.of_classes(model.predict_proba(table), truth, plain(table), key)
        truth = tested[asked.target].cast(pl.Float64).to_numpy()
        return skill.of_numbers(model.predict(table), truth, plain(table), key)


def _without_noise(model: Any, taught: pl.DataFrame, asked: Training) -> Any:
    """The same features, fitted without noise: what the noise cost is told in the house."""
    from sklearn.linear_model import LogisticRegression, Ridge

    design = model.features_.design(taught.select(asked.columns))[:, 1:]
    target = taught[asked.target].to_numpy()
    plain = LogisticRegression(max_iter=1000) if asked.classes else Ridge()
    plain.fit(design, target)
    say = plain.predict_proba if asked.classes else plain.predict
    return lambda table: say(model.features_.design(table)[:, 1:])


def at_most(epsilon: float, delta: float, relation: Relation) -> DpEvent:
    """One Gaussian that costs as much: what a work may cost of which the parts are not known yet."""
    from dp_accounting import GaussianDpEvent

    from sfumato.dp.accounting import noise_for

    return GaussianDpEvent(noise_for(GaussianDpEvent, epsilon, delta, relation=relation))

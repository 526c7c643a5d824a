"""The shared fit: what users hold, what it charges, and what is saved."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from dp_accounting import DpEvent, GaussianDpEvent
from numpy.typing import NDArray

import sfumato as sf
from sfumato.core.canonical import canonical_json
from sfumato.core.errors import InputError, RefusedError
from sfumato.dp import mechanisms
from sfumato.dp.accounting import epsilon_of
from sfumato.dp.budget import Budget
from sfumato.dp.events import from_json, to_json
from sfumato.synth import SYNTHESIZERS, independent, saved
from sfumato.synth.coded import Coded, Field
from sfumato.synth.fitting import fit
from sfumato.synth.synthetic import Synthetic, load


def people(rows: int = 700) -> pl.DataFrame:
    draw = np.random.default_rng(2)
    age = draw.integers(18, 90, rows)
    return pl.DataFrame(
        {
            "person": np.arange(rows) // 2,
            "age": age,
            "town": draw.choice(["a", "b", "c"], rows),
            "rich": draw.random(rows) < age / 100,
        }
    )


TABLE = people().drop("person")
DECLARED: dict[str, Any] = {"bounds": {"age": (18, 90)}, "categories": {"town": ["a", "b", "c"]}}


@pytest.mark.parametrize("method", sorted(SYNTHESIZERS))
def test_a_cost_follows_from_the_number_of_rows_everywhere_or_nowhere(method: str) -> None:
    """Where it seems to follow from nothing, it is charged before the rows are counted."""
    kind = SYNTHESIZERS.resolve(method)
    if not kind.has_private:
        return
    learner = kind(kind.Params())
    fields = [Field("age", "age", 2, True), Field("town", "town", 2, False)]
    costs = {canonical_json(to_json(learner.event(fields, size, 2.0))) for size in range(24_000, 25_000)}
    assert len(costs) == 1 or len(costs) > 990


def test_it_is_reached_from_the_top() -> None:
    assert sf.synth.fit is fit
    assert {"fit", "load", "Synthetic"} <= set(dir(sf.synth))
    with pytest.raises(AttributeError):
        sf.synth.nothing  # noqa: B018


@pytest.mark.parametrize("method", ["independent", "copula"])
def test_rows_are_like_the_table(method: str) -> None:
    made = fit(TABLE, method, target="rich").sample(500)
    assert made.schema == TABLE.schema
    assert made["age"].is_between(18, 90).all()
    assert abs(made["age"].mean() - TABLE["age"].mean()) < 4


def test_callers_get_the_kind_of_table_that_they_have() -> None:
    for table, kind in (
        (TABLE.to_pandas(), pd.DataFrame),
        (TABLE.to_arrow(), pa.Table),
        (TABLE.lazy(), pl.DataFrame),
    ):
        taught = fit(table, "independent")
        assert isinstance(taught.sample(3), kind)
        assert all(isinstance(part, kind) for part in taught.stream(5, batch=2))


def test_seeds_make_rows_again_and_others_others() -> None:
    one, other = fit(TABLE, "copula"), fit(TABLE, "copula")
    assert one.sample(50).equals(other.sample(50))
    assert not one.sample(50).equals(one.sample(50, seed=1))
    assert one.sample(50, key=bytes(32)).equals(other.sample(50, key=bytes(32)))


def test_a_stream_is_the_sample_in_pieces() -> None:
    taught = fit(TABLE, "independent", constraints=[{"unique": "age"}])
    parts = list(taught.stream(2500, batch=1000))
    assert [part.height for part in parts] == [1000, 1000, 500]
    assert pl.concat(parts)["age"].to_list() == list(range(1, 2501))
    assert taught.sample(120_000).equals(pl.concat(taught.stream(120_000)))
    assert taught.sample(0).schema == TABLE.schema
    with pytest.raises(InputError):
        taught.sample(-1)


@pytest.mark.parametrize(
    "terms", [{}, {"epsilon": 3.0, "delta": 1e-5, "size": 700, **DECLARED}], ids=["", "private"]
)
def test_what_is_saved_is_what_was_taught(terms: dict[str, Any], tmp_path: Path) -> None:
    taught = fit(TABLE, "copula", constraints=[{"range": "age", "to": 80}], **terms)
    taught.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.sample(100).equals(taught.sample(100))
    assert canonical_json(dict(again.facts)) == canonical_json(dict(taught.facts))
    assert (again.epsilon, again.delta) == (taught.epsilon, taught.delta)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_is_no_saved_synthesizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load(tmp_path / "none")
    taught = fit(TABLE, "independent")
    arrays, document = taught.model.state()
    whole: dict[str, Any] = {"method": "independent", "model": {"class": "os:system", "document": document}}
    whole |= {
        "encoder": taught.encoder.document(),
        "rules": taught.rules.document(),
        "facts": {},
        "charged": None,
    }
    for content in (b"x" * 99, saved.content(arrays, {}), saved.content(arrays, whole)):
        (tmp_path / "model").write_bytes(content)
        with pytest.raises(InputError) as error:
            load(tmp_path / "model")
        assert error.value.code == "source-unreadable"
    with pytest.raises(InputError) as error:
        taught.save(tmp_path / "none" / "model")
    assert error.value.code == "output-failed"


def test_one_spend_holds_the_domain_and_the_model() -> None:
    budget = Budget(2.0, 1e-5)
    taught = fit(TABLE, "independent", budget=budget, epsilon=1.0, size=700, by="me", why="a test")
    statement = budget.statement()
    assert [(entry.place, entry.by) for entry in statement.entries] == [("synthesis", "me")]
    assert 0 < statement.share < 1
    assert 0.98 < taught.epsilon <= 1.0
    assert taught.event is not None
    proven = epsilon_of(from_json(taught.event), 1e-5)
    assert proven.epsilon == taught.epsilon
    assert taught.charged is not None
    assert taught.charged.size == 700
    assert math.isinf(fit(TABLE, "independent").epsilon)


def test_everything_declared_costs_the_model_alone() -> None:
    taught = fit(TABLE, "independent", epsilon=1.0, delta=1e-5, size=700, domain_share=0, **DECLARED)
    assert taught.event is not None
    kinds = [part["kind"] for part in taught.event["events"]]
    assert kinds == ["NoOpDpEvent", "GaussianDpEvent"]


def test_a_count_of_rows_is_charged_where_their_number_is_private() -> None:
    budget = Budget(1.0, 1e-5)
    taught = fit(TABLE, "independent", budget=budget, **DECLARED)
    assert taught.charged is not None
    assert abs(taught.charged.size - 700) < 700
    assert len(budget.statement().entries) == 1
    assert "DiscreteLaplaceDpEvent" in json.dumps(taught.event)
    replaced = fit(TABLE, "independent", budget=Budget(1.0, 1e-5, relation="replace-one"), **DECLARED)
    assert replaced.charged is not None
    assert replaced.charged.size == 700
    assert "Laplace" not in json.dumps(replaced.event)


class Following(independent.Independent):
    """A synthesizer whose cost follows from the number of rows."""

    def event(self, fields: Any, size: int, noise: float) -> DpEvent:
        del fields
        return GaussianDpEvent(noise * (1 + 1 / size))


def test_where_the_cost_follows_from_the_rows_the_count_is_a_spend_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(independent, "Independent", Following)
    for filter in ("rdp", "basic"):
        budget = Budget(1.0, 1e-5, filter=filter)
        taught = fit(TABLE, "independent", budget=budget, **DECLARED)
        places = [entry.place for entry in budget.statement().entries]
        assert places == ["synthesis: count of rows", "synthesis"]
        assert taught.epsilon <= 1.0
        assert budget.statement().share <= 1.0 + 1e-9


def test_nothing_is_drawn_before_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError

    for name in ("gaussian", "laplace", "keep_large"):
        monkeypatch.setattr(mechanisms, name, drawn)
    for kind in (independent.Independent, Following):
        monkeypatch.setattr(independent, "Independent", kind)
        budget = Budget(1.0, 1e-5)
        budget.spend(GaussianDpEvent(4.3), place="before")
        with pytest.raises(RefusedError):
            fit(TABLE, "independent", budget=budget, epsilon=0.9)
        assert len(budget.statement().entries) == 1


class Lazy(independent.Independent):
    """A synthesizer that draws nothing of what was charged."""

    def fit(self, coded: Coded, key: bytes, private: Any = None, progress: Any = None) -> Any:
        return super().fit(coded, key, None, progress)


def test_a_synthesizer_that_does_not_draw_what_was_charged_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(independent, "Independent", Lazy)
    with pytest.raises(AssertionError, match="did not draw"):
        fit(TABLE, "independent", epsilon=1.0, delta=1e-5, size=700)


def test_no_value_but_through_noise_reaches_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Noise that takes no heed of what it is added to: two tables with nothing in common, neither values nor
    # their number, must make the same file, to the byte.
    def blind(values: NDArray[np.int64], scale: float) -> NDArray[np.int64]:
        return np.random.default_rng(len(values)).integers(0, 2**34, len(values))

    monkeypatch.setattr(mechanisms, "gaussian", blind)
    monkeypatch.setattr(mechanisms, "laplace", blind)
    monkeypatch.setattr(mechanisms, "keep_large", lambda *_: (np.zeros(0, dtype=np.int64),) * 2)
    other = pl.DataFrame({"age": [5] * 31, "town": ["zzz"] * 31, "rich": [None] * 31}, schema=TABLE.schema)
    for method in ("independent", "copula"):
        files = []
        for table in (TABLE, other):
            taught = fit(table, method, epsilon=1.0, delta=1e-5, bounds={"age": (18, 90)}, target="rich")
            taught.save(tmp_path / "model")
            files.append((tmp_path / "model").read_bytes())
        assert files[0] == files[1]


def test_one_row_of_each_subject_is_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(
        independent.Independent,
        "fit",
        lambda _, coded, *__: seen.append(len(coded.codes)) or independent.IndependentModel((), ()),
    )
    fit(people(), "independent", subject="person")
    assert seen == [350]
    with pytest.raises(InputError, match="whose the rows are"):
        fit(people(), "independent", budget=Budget(1.0, 1e-5, unit="subject"))
    with pytest.raises(InputError):
        fit(people(), "independent", subject="nobody")


def test_rare_values_come_out_on_request_alone() -> None:
    table = pl.DataFrame({"ill": ["no"] * 500 + ["very"] * 3})
    assert fit(table, "independent").sample(3000)["ill"].unique().to_list() == ["no"]
    kept = fit(table, "independent", rare={"ill": "keep"})
    assert kept.sample(5, where={"ill": "very"})["ill"].to_list() == ["very"] * 5


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"method": "nothing"}, "unknown-name"),
        ({"target": "nowhere"}, "usage"),
        ({"params": {"depth": 3}}, "usage"),
        ({"epsilon": 1.0}, "usage"),
        ({"epsilon": 1.0, "delta": 1e-5, "rare": "keep"}, "usage"),
        ({"epsilon": 1.0, "delta": 1e-5, "bounds": {"ages": (0, 1)}}, "usage"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(how: dict[str, Any], code: str) -> None:
    with pytest.raises(InputError) as error:
        fit(TABLE, **{"method": "independent", **how})
    assert error.value.code == code


def test_facts_say_what_was_done() -> None:
    facts = fit(TABLE, "copula", target="rich").facts
    assert facts["method"] == "copula"
    assert facts["model"] == {"histograms": 3, "correlations": 3}
    assert json.loads(canonical_json(dict(facts))) == facts


def test_an_empty_table_is_refused() -> None:
    for table in (TABLE.clear(), pl.DataFrame({"a": []})):
        with pytest.raises(InputError):
            fit(table, "independent")


def test_progress_is_told() -> None:
    told: list[str] = []
    assert isinstance(fit(TABLE, "copula", progress=lambda step, *_: told.append(step)), Synthetic)
    assert told == ["histograms", "order", "correlations"]

"""Several tables under differential privacy: one row of everybody in each, one charge, nothing looked up.

Where figures with fresh noise are looked at, they may be off by ten standard deviations of it or more: less
than one run in a million fails.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from sfumato.core.errors import InputError, RefusedError
from sfumato.dp import mechanisms
from sfumato.dp.budget import Budget
from sfumato.synth import SYNTHESIZERS
from sfumato.synth.relations import SyntheticTables, context, declared, fit, load, private
from sfumato.synth.relations.declared import Said, layouts
from sfumato.synth.relations.rows import Rows
from sfumato.synth.relations.tables import Naming
from sfumato.synth.relations.tree import Tree

KEYS = [
    ("items", "purchase", "purchases", "number"),
    ("purchases", "customer", "customers", "id"),
    ("purchases", "sku", "products", "sku"),
]
PRODUCTS = pl.DataFrame({"sku": [100, 101, 102], "price": [1.5, None, 3.0]})
MOST = {"purchases": 8, "items": 3}
BOUNDS = {"customers": {"age": (18, 90)}, "purchases": {"spent": (0, 300)}}
CATEGORIES = {"customers": {"town": ["a", "b"]}}
SCHEMAS: dict[str, dict[str, Any]] = {
    "customers": {"id": pl.String, "age": pl.Int64, "town": pl.String},
    "purchases": {
        "number": pl.Int64, "customer": pl.String, "spent": pl.Float64, "gift": pl.Boolean, "sku": pl.Int64
    },
    "items": {"purchase": pl.Int64, "card": pl.Boolean},
}  # fmt: skip
SMALL: dict[str, dict[str, Any]] = {
    "aim": {"components": 20, "steps": 20},
    "mst": {"fit": "mixture", "components": 20, "steps": 20},
    "autoregressive": {"steps": 8, "rate": 0.3},
    "gan": {"private_steps": 8, "private_hidden": 8, "private_batch": 50, "hidden": 8, "noise": 4},
}
Tables = dict[str, pl.DataFrame]


def shop(people: int = 300, seed: int = 0) -> Tables:
    """The young buy more often, the old pay more; a gift has a card."""
    draw = np.random.default_rng(seed)
    age = draw.integers(18, 90, people)
    who = np.repeat(np.arange(people), draw.poisson(np.where(age < 40, 4, 1)))
    gift = draw.random(len(who)) < 0.4
    of = np.repeat(np.arange(len(who)), draw.integers(0, 4, len(who)))
    names = np.array([f"C{i}" for i in range(people)], dtype=object)
    return tables_of(
        {"id": names, "age": age, "town": draw.choice(["a", "b"], people)},
        {
            "number": np.arange(len(who)) + 4000,
            "customer": names[who],
            "spent": age[who] * 2.0,
            "gift": gift,
            "sku": draw.integers(100, 103, len(who)),
        },
        {"purchase": of + 4000, "card": gift[of]},
    )


def hermit() -> Tables:
    """Few people of whom nothing is known, and one of them has all purchases."""
    return tables_of(
        {"id": [f"x{i}-long" for i in range(41)], "age": [40] * 40 + [None], "town": ["zz"] * 41},
        {
            "number": range(7, 507),
            "customer": ["x3-long"] * 500,
            "spent": [None] * 500,
            "gift": [True] * 500,
            "sku": [None] * 500,
        },
        {"purchase": [], "card": []},
    )


def tables_of(customers: Any, purchases: Any, items: Any) -> Tables:
    tables = zip(SCHEMAS, (customers, purchases, items), strict=True)
    found = {
        name: pl.DataFrame({key: list(each) for key, each in one.items()}, schema=SCHEMAS[name])
        for name, one in tables
    }
    return {**found, "products": PRODUCTS}


def taught(tables: Tables | None = None, method: str = "independent", **changes: Any) -> SyntheticTables:
    asked: dict[str, Any] = {
        "subject": "customers", "public": ["products"], "params": SMALL.get(method), "most": MOST,
        "bounds": BOUNDS, "categories": CATEGORIES, "epsilon": 90.0, "delta": 1e-5, "size": 300,
    }  # fmt: skip
    if "budget" in changes:
        asked["epsilon"] = asked["delta"] = None
    return fit(shop() if tables is None else tables, KEYS, method=method, **{**asked, **changes})


# What is in the file hangs on noise alone.


def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every charged release is noise alone; how much is asked is of no weight here, and not searched for."""

    def counts(values: NDArray[np.int64], scale: float) -> NDArray[np.int64]:
        return np.random.default_rng(len(values)).integers(0, 2**20, len(values))

    def sums(self: Any, exact: Any, step: int) -> list[Any]:
        import torch

        draw = np.random.default_rng(step)
        return [torch.from_numpy(self._std * draw.standard_normal(tuple(one.shape))) for one in exact]

    monkeypatch.setattr(mechanisms, "gaussian", counts)
    monkeypatch.setattr(mechanisms, "laplace", counts)
    monkeypatch.setattr(mechanisms, "choose", lambda *_, **__: [0])
    monkeypatch.setattr(mechanisms, "keep_large", lambda *_: (np.zeros(0, dtype=np.int64),) * 2)
    monkeypatch.setattr("sfumato.dp.training.noise.GridNoise.add", sums)
    monkeypatch.setattr("sfumato.dp.accounting.noise_for", lambda *_, **__: 2.0)


def files(path: Path, method: str = "independent", **changes: Any) -> list[bytes]:
    found = []
    for tables in (shop(), hermit()):
        taught(tables, method, **changes).save(path / "model")
        found.append((path / "model").read_bytes())
    return found


@pytest.mark.parametrize(
    "declares",
    [{}, {"size": None}, {"bounds": {}, "categories": {}}],
    ids=["declared", "counted", "learned"],
)
@pytest.mark.parametrize("method", ["aim", "mst", "copula", "independent", "autoregressive"])
def test_no_value_but_through_noise_reaches_the_file(
    method: str, declares: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blind(monkeypatch)
    one, other = files(tmp_path, method, **declares)
    assert one == other


def real_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made keys lie beyond all that there were."""

    def looked(rows: Rows, name: str) -> dict[str, Naming]:
        table = rows.tables[name]
        return {key: Naming.of(table[key], key) for key in rows.tree.named.get(name, ())}

    monkeypatch.setattr(private, "_naming", looked)


def seen_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no child was seen with counts as what one was."""
    part = private._part

    def looked(rows: Rows, layout: Any, naming: Any, encoder: Any, model: Any) -> Any:
        found = part(rows, layout, naming, encoder, model)
        if not found.context:
            return found
        size = encoder.fields[0].size
        hung = np.bincount(rows.parent[layout.name]).clip(0, size - 1).astype(np.int32)
        seen = tuple(context.stand_ins(encoder.fields[0], hung))
        return dataclasses.replace(found, stand_ins=(seen, *found.stand_ins[1:]))

    monkeypatch.setattr(private, "_part", looked)


def real_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many people have rows of a table is counted."""
    of = private._Sizes.of

    def looked(rows: Rows, size: int) -> Any:
        found = of(rows, size)
        found.of_table = lambda layout: max(1, len(rows.one_each(layout.name)))
        return found

    monkeypatch.setattr(private._Sizes, "of", looked)


def largest_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many rows hang on one is looked up."""
    of = layouts

    def looked(tables: Tables, tree: Tree, said: Said, most: int) -> Any:
        counts = {name: len(tables[name]) % 50 + 1 for name in tree.parent}
        return of(tables, tree, dataclasses.replace(said, most=counts), most)

    monkeypatch.setattr(declared, "layouts", looked)


@pytest.mark.parametrize("twin", [real_keys, seen_codes, real_sizes, largest_count])
def test_a_twin_that_looks_at_people_is_caught(
    twin: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blind(monkeypatch)
    twin(monkeypatch)
    one, other = files(tmp_path)
    assert one != other


# One row of everybody, whatever others have.


def rows_of(tables: Tables, key: bytes = bytes(32)) -> Rows:
    tree = Tree.of(tables, KEYS, "customers", {}, ["products"])
    return Rows.of(tables, tree, layouts(tables, tree, Said(MOST, BOUNDS), 8), key, 10)


def given(rows: Rows, name: str) -> dict[str, tuple[Any, ...]]:
    """What everybody gives to a table, with what it hangs on."""
    places, level = rows.one_each(name), name
    found = rows.values(name, places)
    while level in rows.parent:
        places = rows.parent[level][places]
        level = rows.tree.parent[level].to
        found = pl.concat([found, rows.values(level, places)], how="horizontal")
    whose = rows.tables["customers"]["id"].gather(places).to_list()
    assert len(set(whose)) == len(whose)
    return dict(zip(whose, found.rows(), strict=True))


def with_one_more(rows: int = 1000) -> Tables:
    """A person who comes first with very many rows, which lie between the others'."""
    many = tables_of(
        {"id": ["new"], "age": [90], "town": ["mine"]},
        {
            "number": range(90_000, 90_000 + rows), "customer": ["new"] * rows, "spent": [299.0] * rows,
            "gift": [True] * rows, "sku": [102] * rows,
        },
        {"purchase": list(range(90_000, 90_000 + rows)) * 3, "card": [True] * (3 * rows)},
    )  # fmt: skip
    joined = {name: pl.concat([many[name], table]) for name, table in shop().items() if name != "products"}
    for name in ("purchases", "items"):
        order = np.random.default_rng(1).random(joined[name].height)
        # Everybody's own rows keep their order.
        joined[name] = joined[name].sort(pl.Series(np.sort(order)))
        new = joined[name].height - shop()[name].height
        places = np.argsort(np.concatenate([order[:new], np.sort(order[new:])]), kind="stable")
        joined[name] = joined[name][places]
    return {**joined, "products": PRODUCTS}


@pytest.mark.parametrize("name", ["customers", "purchases", "items"])
def test_a_person_with_a_thousand_rows_is_one_row_more(name: str) -> None:
    before, after = given(rows_of(shop()), name), given(rows_of(with_one_more()), name)
    assert set(after) == {*before, "new"}
    assert all(after[who] == row for who, row in before.items())


def drawn_by_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are drawn one person after another."""
    monkeypatch.setattr(Rows, "_numbers", property(lambda self: np.arange(self.people).astype(np.uint64)))


def all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody gives all of their rows."""
    monkeypatch.setattr(Rows, "one_each", lambda self, name: np.arange(self.tables[name].height))


@pytest.mark.parametrize("twin", [drawn_by_place, all_rows])
def test_a_draw_that_hangs_on_others_is_caught(
    twin: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    twin(monkeypatch)
    with pytest.raises(AssertionError):
        test_a_person_with_a_thousand_rows_is_one_row_more("purchases")


def test_whoever_has_rows_gives_one_of_their_own() -> None:
    tables = shop()
    rows = rows_of(tables)
    bought = set(tables["purchases"]["customer"])
    assert set(given(rows, "purchases")) == bought
    items = tables["items"].join(tables["purchases"], left_on="purchase", right_on="number")
    assert set(given(rows, "items")) == set(items["customer"])
    chosen = tables["purchases"][rows.one_each("purchases")]
    place = {name: at for at, name in enumerate(tables["customers"]["id"])}
    assert [place[name] for name in chosen["customer"]] == sorted(place[name] for name in bought)


def test_of_rows_each_is_as_likely_and_of_parents_that_lead_to_any() -> None:
    people = 4000
    who = [f"C{i}" for i in range(people)]
    tables = tables_of(
        {"id": who, "age": [30] * people, "town": ["a"] * people},
        {
            "number": range(3 * people), "customer": np.repeat(who, 3), "spent": [0.0, 1.0, 2.0] * people,
            "gift": [None] * (3 * people), "sku": [None] * (3 * people),
        },
        # The first purchase has one item, the second three, the third none.
        {
            "purchase": [3 * i + j for i in range(people) for j in (0, 1, 1, 1)],
            "card": [True, False, False, False] * people,
        },
    )  # fmt: skip
    rows = rows_of(tables)
    shares = np.bincount(tables["purchases"]["spent"][rows.one_each("purchases")].cast(pl.Int64)) / people
    # By a fixed key: five standard deviations.
    assert np.abs(shares - 1 / 3).max() < 5 * np.sqrt(2 / 9 / people)
    alone = tables["items"]["card"][rows.one_each("items")].mean()
    assert abs(float(alone) - 1 / 2) < 5 * np.sqrt(1 / 4 / people)  # type: ignore[arg-type]
    assert not np.array_equal(rows.one_each("purchases"), rows_of(tables, b"k" * 32).one_each("purchases"))


# What rows go by, and what is known without a look.


def test_rows_go_by_how_many_of_them_there_are() -> None:
    tables = shop()
    tree = Tree.of(tables, KEYS, "customers", {}, ["products"])
    found = layouts(tables, tree, Said(MOST, BOUNDS), 2)
    assert [field.name for field in found["purchases"].fields] == [
        "customers: rows of purchases", "customers.age", "customers.town",
        "purchases.spent", "purchases.gift", "purchases.sku", "purchases: rows of items",
    ]  # fmt: skip
    assert [field.name for field in found["items"].fields] == [
        "purchases: rows of items", "customers: rows of purchases", "purchases.spent", "purchases.gift",
        "items.card",
    ]  # fmt: skip
    none = layouts(tables, tree, Said(MOST, BOUNDS), 0)["items"]
    assert [field.name for field in none.fields][:2] == [
        "purchases: rows of items", "customers: rows of purchases",
    ]  # fmt: skip
    assert len(none.fields) == 3


def test_siblings_and_what_is_above_come_last() -> None:
    tables = {
        "p": pl.DataFrame({"id": [1], "x": [1]}),
        "a": pl.DataFrame({"k": [1], "p": [1], "y": [1]}),
        "b": pl.DataFrame({"p": [1]}),
        "c": pl.DataFrame({"a": [1], "z": [1]}),
    }
    keys = [("a", "p", "p", "id"), ("b", "p", "p", "id"), ("c", "a", "a", "k")]
    tree = Tree.of(tables, keys, "p", {}, [])
    found = layouts(tables, tree, Said({"a": 2, "b": 2, "c": 2}), 8)
    assert [field.name for field in found["a"].fields] == [
        "p: rows of a", "p.x", "p: rows of b", "a.y", "a: rows of c"
    ]  # fmt: skip
    assert [field.name for field in found["c"].fields] == [
        "a: rows of c", "p: rows of a", "a.y", "p.x", "p: rows of b", "c.z"
    ]  # fmt: skip
    assert found["b"].schema == {}


def test_what_is_said_of_it_is_what_was_declared() -> None:
    model = taught()
    said = {each["table"]: each for each in model.facts["tables"]}
    assert said["purchases"]["most"] == 8
    assert "purchases.sku" in said["purchases"]["domain"]["declared"]["declared"]
    assert "rows" not in said["purchases"]
    assert "least" not in model.facts
    assert said["items"]["by"][:2] == ["purchases: rows of items", "customers: rows of purchases"]
    assert model.sample(40)["customers"]["id"].to_list()[0] == "synthetic-0000001"
    assert model.sample(40)["purchases"]["number"].min() == 1


# What it costs.


def test_all_tables_are_one_charge() -> None:
    budget = Budget(2.0, 1e-5, unit="subject")
    model = taught(budget=budget, epsilon=1.5, place="shop", by="me", why="to try")
    (entry,) = budget.statement().entries
    assert (entry.place, entry.by, entry.why) == ("shop", "me", "to try")
    assert 1.49 < model.epsilon <= 1.5
    assert model.delta == 1e-5
    assert model.charged is not None
    assert model.charged.unit == "subject"
    assert model.charged.size == 300
    assert model.event == model.charged.event
    from sfumato.dp.accounting import epsilon_of
    from sfumato.dp.events import from_json

    assert epsilon_of(from_json(dict(model.event or {})), 1e-5).epsilon == model.epsilon


def test_a_count_of_people_is_in_the_charge() -> None:
    budget = Budget(2.0, 1e-5, unit="subject")
    model = taught(budget=budget, size=None)
    assert len(budget.statement().entries) == 1
    assert model.charged is not None
    # Laplace noise of scale 25: beyond 350 once in a million.
    assert abs(model.charged.size - 300) < 350


def test_where_the_cost_follows_from_a_count_it_comes_before(monkeypatch: pytest.MonkeyPatch) -> None:
    # Much more noise than needed, that it need not be searched for.
    monkeypatch.setattr("sfumato.dp.accounting.noise_for", lambda *_, **__: 20.0)
    budget = Budget(5.0, 1e-5, unit="subject")
    model = taught(method="gan", budget=budget, size=None, epsilon=4.0)
    places = [entry.place for entry in budget.statement().entries]
    assert places == ["synthesis: count of rows", "synthesis"]
    assert model.epsilon <= 4.0


def test_where_people_are_replaced_their_number_is_public() -> None:
    model = taught(budget=Budget(2.0, 1e-5, unit="subject", relation="replace-one"), size=None)
    assert model.charged is not None
    assert model.charged.size == 300
    assert model.charged.relation == "replace-one"
    assert model.epsilon <= 2.0


def test_a_spent_budget_refuses_and_nothing_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Budget(1.0, 1e-5, unit="subject")
    taught(budget=budget, epsilon=0.8)
    before = budget.statement().entries

    def learn(*_: Any, **__: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr("sfumato.synth.encoding.encoder.Encoder.fit_private", learn)
    with pytest.raises(RefusedError) as refused:
        taught(budget=budget, epsilon=0.8)
    assert refused.value.code == "budget-spent"
    assert budget.statement().entries == before


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"epsilon": 0.0}, "positive"),
        ({"epsilon": 1.0, "delta": 0.0}, "no noise"),
        ({"size": 0}, "from 1"),
        ({"domain_share": 1.0}, "from 0 to below 1"),
    ],
)
def test_terms_that_are_none_cost_nothing(asked: dict[str, Any], says: str) -> None:
    budget = Budget(2.0, 1e-5, unit="subject")
    with pytest.raises(InputError, match=says):
        taught(budget=budget, **asked)
    assert budget.statement().entries == ()


def changed(name: str, **columns: Any) -> Tables:
    tables = shop()
    return {**tables, name: tables[name].with_columns(**columns)}


@pytest.mark.parametrize(
    ("tables", "asked", "says"),
    [
        (None, {"most": {"purchases": 8}}, "how many rows hang on one"),
        (None, {"most": {**MOST, "items": 0}}, "how many rows hang on one"),
        (None, {"most": {**MOST, "items": True}}, "how many rows hang on one"),
        (None, {"most": {**MOST, "items": 1e9}}, "how many rows hang on one"),
        (None, {"most": {**MOST, "customers": 3}}, "hangs on another"),
        (None, {"bounds": {"sales": {"spent": (0, 1)}}}, "no such table"),
        (None, {"bounds": {"items": {"spent": (0, 1)}}}, "lacks"),
        (None, {"bounds": {"purchases": {"number": (0, 1)}}}, "lacks"),
        (None, {"categories": {"purchases": {"gift": []}}}, "categories"),
        (None, {"rare": "keep"}, "rare"),
        (None, {"domain_share": 0, "categories": {}}, "no share of the budget"),
        (None, {"context": -1}, "from 0"),
        (changed("purchases", customer=pl.lit("C-none")), {}, "name a row that is not in"),
        (changed("purchases", sku=pl.lit(7)), {}, "name a row that is not in"),
        (changed("customers", id=pl.lit("C1")), {}, "share a key"),
        (changed("purchases", spent=pl.lit([1])), {}, "cannot be synthesized"),
    ],
)
def test_what_is_refused_costs_nothing(tables: Any, asked: dict[str, Any], says: str) -> None:
    budget = Budget(2.0, 1e-5, unit="subject")
    with pytest.raises(InputError, match=says) as refused:
        taught(tables, budget=budget, **asked)
    assert "C-none" not in str(refused.value)
    assert budget.statement().entries == ()


def test_keys_that_are_not_made_are_refused_before_a_charge() -> None:
    budget = Budget(2.0, 1e-5, unit="subject")
    dated = pl.select(id=pl.date(2020, 1, 1), x=1)
    with pytest.raises(InputError, match="whole numbers or text"):
        fit({"t": dated}, subject="t", ids={"t": "id"}, budget=budget)
    public = {"p": pl.DataFrame({"id": [1], "k": [0.5]}), "k": pl.DataFrame({"k": [0.5, 2.0]})}
    with pytest.raises(InputError, match="whole numbers or text"):
        fit(public, [("p", "k", "k", "k")], subject="p", ids={"p": "id"}, public=["k"], budget=budget)
    with pytest.raises(InputError, match="no columns"):
        fit({"p": pl.DataFrame({"id": [1]})}, subject="p", ids={"p": "id"}, budget=budget)
    assert budget.statement().entries == ()


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"budget": Budget(1.0, 1e-5)}, "single rows"),
        ({"epsilon": 1.0, "delta": None}, "needs a delta"),
        ({"epsilon": None}, "there is no budget"),
        ({"epsilon": None, "delta": None}, "there is no budget"),
    ],
)
def test_a_budget_is_of_people(asked: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        taught(**asked)


# Any tables.


@pytest.mark.parametrize("method", ["copula", "independent", *SMALL])
def test_tables_look_as_they_did(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if SYNTHESIZERS.resolve(method).sees == "rows":
        # Neither is it searched for how much noise is asked, nor is much learned.
        monkeypatch.setattr("sfumato.dp.accounting.noise_for", lambda *_, **__: 2.0)
    tables = shop()
    made = taught(tables, method).sample(200)
    assert list(made) == list(tables)
    for name, table in tables.items():
        assert made[name].schema == table.schema
    assert made["customers"].height == 200
    assert made["products"].equals(PRODUCTS)
    assert made["purchases"]["customer"].is_in(made["customers"]["id"].implode()).all()
    assert made["items"]["purchase"].is_in(made["purchases"]["number"].implode()).all()
    assert made["purchases"]["sku"].drop_nulls().is_in(PRODUCTS["sku"].implode()).all()
    assert made["purchases"].height > 20
    assert made["purchases"]["customer"].value_counts()["count"].max() <= 8


def test_without_a_method_it_is_aim() -> None:
    assert taught(method=None, params=SMALL["aim"]).method == "aim"  # type: ignore[arg-type]


def test_saved_and_loaded_it_makes_the_same(tmp_path: Path) -> None:
    model = taught(method="aim")
    model.save(tmp_path / "shop")
    back = load(tmp_path / "shop")
    assert (back.charged, back.epsilon, back.facts) == (model.charged, model.epsilon, model.facts)
    made = model.sample(100)
    for name, table in back.sample(100).items():
        assert table.equals(made[name])
    content = (tmp_path / "shop").read_bytes()
    assert b"C17" not in content
    assert b"4017" not in content


def clear(*names: str) -> Tables:
    tables = shop()
    return {name: table.clear() if name in names else table for name, table in tables.items()}


@pytest.mark.parametrize(
    "tables",
    [
        clear("items"),
        clear("purchases", "items"),
        clear("customers", "purchases", "items"),
        changed("purchases", spent=pl.lit(None, dtype=pl.Float64), gift=pl.lit(None, dtype=pl.Boolean)),
        changed("customers", town=pl.lit(None, dtype=pl.String), age=pl.lit(None, dtype=pl.Int64)),
        shop(1),
        {**clear("items"), **{name: table[:1] for name, table in hermit().items() if name == "products"}},
        hermit(),
    ],
    ids=["no items", "no purchases", "nobody", "null", "null people", "one", "one product", "hermit"],
)
@pytest.mark.parametrize("method", ["aim", "mst", "copula", "independent"])
def test_any_people_are_learned(tables: Tables, method: str) -> None:
    tables = {**tables, "products": PRODUCTS}
    made = taught(tables, method, epsilon=1.0).sample(30)
    assert made["customers"].height == 30
    for name, table in tables.items():
        assert made[name].schema == table.schema


def test_a_child_that_nobody_has_stays_nearly_empty() -> None:
    made = taught(clear("items"), epsilon=90.0, size=300).sample(1000)
    assert made["items"].height < 0.1 * made["purchases"].height


def test_a_child_with_nothing_but_its_key_and_odd_names() -> None:
    people = shop()["customers"].rename({"age": "a.b: rows of"})
    visits = shop()["purchases"].select("customer")
    model = fit(
        {"a b": people, "é.v": visits}, [("é.v", "customer", "a b", "id")], subject="a b",
        method="independent", epsilon=50.0, delta=1e-5, size=300, most={"é.v": 8},
        bounds={"a b": {"a.b: rows of": (18, 90)}}, categories={"a b": {"town": ["a", "b"]}},
    )  # fmt: skip
    made = model.sample(2000)
    assert abs(made["é.v"].height / 2000 - visits.height / 300) < 0.5
    assert model.facts["tables"][1]["model"] is None


def test_one_row_for_each_with_the_key_of_the_parent() -> None:
    tables = shop()
    more = {
        "customers": tables["customers"],
        "profiles": tables["customers"].select("id", old=pl.col("age") > 50),
        "notes": tables["purchases"].select("customer", "gift"),
    }
    keys = [("profiles", "id", "customers", "id"), ("notes", "customer", "profiles", "id")]
    made = fit(
        more, keys, subject="customers", method="copula", epsilon=90.0, delta=1e-5, size=300,
        most={"profiles": 1, "notes": 8}, categories=CATEGORIES,
    ).sample(300)  # fmt: skip
    assert made["profiles"].height > 280
    assert made["profiles"]["id"].is_unique().all()
    assert made["notes"]["customer"].is_in(made["profiles"]["id"].implode()).all()


def test_one_table_alone_has_a_budget_too() -> None:
    model = fit(
        {"customers": shop()["customers"]}, subject="customers", ids={"customers": "id"},
        method="independent", epsilon=50.0, delta=1e-5, size=300, bounds={"customers": {"age": (18, 90)}},
        categories=CATEGORIES,
    )  # fmt: skip
    ages = model.sample(3000)["customers"]["age"]
    assert abs(float(ages.mean()) - float(shop()["customers"]["age"].mean())) < 3  # type: ignore[arg-type]


def test_a_language_model_is_taught_under_a_budget_of_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sfumato.dp.accounting.noise_for", lambda *_, **__: 2.0)
    small = {"private_epochs": 1, "private_batch": 50, "layers": 1, "width": 8, "heads": 1}
    model = fit(
        {"customers": shop()["customers"]}, subject="customers", ids={"customers": "id"},
        method="language-model", params=small, epsilon=90.0, delta=1e-5, size=300,
        bounds={"customers": {"age": (18, 90)}}, categories=CATEGORIES,
    )  # fmt: skip
    assert model.sample(10)["customers"].height == 10


def test_how_many_have_rows_is_told_from_made_ones() -> None:
    """Shares of a table's values are of those who have rows of it."""
    few = shop()
    keep = few["customers"]["id"][:60]
    few["purchases"] = few["purchases"].filter(pl.col("customer").is_in(keep.implode()))
    few["items"] = few["items"].filter(pl.col("purchase").is_in(few["purchases"]["number"].implode()))
    made = taught(few, "independent", epsilon=400.0).sample(3000)
    for name, column in (("purchases", "gift"), ("items", "card")):
        real = float(few[name][column].mean())  # type: ignore[arg-type]
        assert abs(float(made[name][column].mean()) - real) < 0.15

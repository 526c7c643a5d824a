"""Loading a policy: lines of every place, and a message for every value that a part's own rules forbid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from sfumato.anonymity import MEASURES, MODELS
from sfumato.core.errors import InputError, PolicyError
from sfumato.core.registry import Registry
from sfumato.evidence import ATTACKS, FAIRNESS, UTILITY
from sfumato.hierarchies import HIERARCHIES
from sfumato.policy import load
from sfumato.policy.load import load_policy, parts_of, policy_from
from sfumato.policy.model import Policy
from sfumato.transforms import TRANSFORMS

MINIMAL = """\
sfumato: 1
dataset:
  name: people
  source: {path: people.csv}
columns:
  age: {role: quasi-identifier, why: x}
"""

#: What each part needs at the least; a new part with required parameters needs a line, or the suite fails.
REQUIRED: dict[str, dict[str, Any]] = {
    "pseudonymize": {"domain": "person"},
    "round": {"to": 5},
    "top-bottom-code": {"bottom": 1},
    "truncate-date": {"to": "year"},
    "file": {"path": "h.csv"},
    "intervals": {"widths": [5, 10]},
    "prefix": {"keep": [3, 1]},
    "dates": {"levels": ["month", "year"]},
    "quantiles": {"bins": [20, 5]},
    "order": {"values": ["low", "high"], "sizes": [2]},
    "hierarchy mask": {"hide": [2]},
    "taxonomy": {"path": "t.csv"},
    "learned": {"groups": [5]},
    "postcode": {"country": "US"},
    "coordinates": {"resolutions": [9]},
    "findings": {"queries": [{"name": "age", "mean": "age"}]},
    "microaggregate": {"k": 5},
    "suppress-items": {"k": 5},
    "k-anonymity": {"k": 5},
    "k-map": {"k": 5},
    "l-diversity": {"on": "age", "l": 2},
    "t-closeness": {"on": "age", "t": 0.2},
    "delta-disclosure": {"on": "age", "delta": 1},
    "beta-likeness": {"on": "age", "beta": 1},
    "delta-presence": {"high": 0.5},
    "alpha-k": {"on": "age", "alpha": 0.5, "k": 5},
    "p-sensitive": {"on": "age", "p": 2, "k": 5},
    "average-risk": {"at_most": 0.1},
    "highest-risk": {"at_most": 0.1},
    "sample-uniqueness": {"at_most": 0.1},
    "population-uniqueness": {"at_most": 0.1, "fraction": 0.1},
    "fairness": {"groups": ["age"]},
}


def required(registry: Registry, name: str) -> dict[str, Any]:
    """What a part needs; the registry's kind tells parts of one name apart."""
    return REQUIRED.get(f"{registry.kind} {name}", REQUIRED.get(name, {}))


#: Parameters that the house fills in itself and no policy may write.
FILLED_IN = {("generalize", "hierarchy"), ("generalize", "folder")}

REGISTRIES = (TRANSFORMS, HIERARCHIES, MODELS, ATTACKS, UTILITY, FAIRNESS)
PARTS = [(registry, name) for registry in REGISTRIES for name in registry]


def written(folder: Path, text: str) -> Path:
    path = folder / "policy.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str) -> list[tuple[str, str, str]]:
    """What loading a policy complains of, places without the folder."""
    path = written(folder, text)
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    assert caught.value.exit_code == 2
    return [(p.where.removeprefix(f"{folder}/"), p.what, p.remedy) for p in caught.value.problems]


def policy_with(registry: Registry, name: str, params: dict[str, Any]) -> dict[str, Any]:
    """The smallest policy that holds one part."""
    column: dict[str, Any] = {"role": "quasi-identifier", "why": "x"}
    policy: dict[str, Any] = {
        "sfumato": 1,
        "dataset": {"name": "people", "source": {"path": "people.csv"}},
        "columns": {"age": column},
    }
    if registry is TRANSFORMS:
        column["action"] = {"do": name, **params}
    elif registry is HIERARCHIES:
        column["hierarchy"] = {"kind": name, **params}
    elif registry is MODELS:
        policy["anonymity"] = {"models": [{"model": name, **params}]}
    elif registry is FAIRNESS:
        policy["evidence"] = {"fairness": params}
    else:
        policy["evidence"] = {"attacks" if registry is ATTACKS else "utility": [{name: params}]}
    return policy


def as_yaml(folder: Path, policy: dict[str, Any]) -> str:
    path = folder / "dumped.yaml"
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.dump(policy, path)
    return path.read_text(encoding="utf-8")


def bad_values(schema: dict[str, Any]) -> Iterator[Any]:
    """Values just outside what a JSON schema allows, and one of another type."""
    variants = [variant for variant in schema.get("anyOf", [schema]) if variant.get("type") != "null"]
    for variant in variants:
        if "enum" in variant or "const" in variant:
            yield "no such word"
        if "minimum" in variant:
            yield variant["minimum"] - 1
        if "exclusiveMinimum" in variant:
            yield variant["exclusiveMinimum"]
        if "maximum" in variant:
            yield variant["maximum"] + 1
        if "exclusiveMaximum" in variant:
            yield variant["exclusiveMaximum"]
        if variant.get("minLength"):
            yield ""
        if "maxLength" in variant:
            yield "x" * (variant["maxLength"] + 1)
        if variant.get("type") == "array":
            if variant.get("minItems"):
                yield []
            yield from ([item] for item in bad_values(variant["items"]))
        if variant.get("type") in ("number", "integer"):
            yield "many"
            yield float("nan")
    yield {"a": 1}


def cases() -> Iterator[tuple[Registry, str, str, Any]]:
    for registry, name in PARTS:
        schema = registry.resolve(name).Params.model_json_schema(by_alias=True)
        for key, allowed in schema["properties"].items():
            if (name, key) not in FILLED_IN:
                for value in bad_values(allowed):
                    yield registry, name, key, value


CASES = list(cases())


def test_there_are_bad_values_for_every_parameter() -> None:
    """The generator is no use if it finds nothing: every parameter of every part has at least one."""
    tried = {(name, key) for _, name, key, _ in CASES}
    declared = {
        (name, field.alias or key)
        for registry, name in PARTS
        for key, field in registry.resolve(name).Params.model_fields.items()
    }
    assert tried == declared - FILLED_IN
    assert len(CASES) > 60


@pytest.mark.parametrize(("registry", "name"), PARTS, ids=lambda part: getattr(part, "kind", part))
def test_every_part_loads_with_what_it_needs_and_refuses_what_it_does_not_know(
    tmp_path: Path, registry: Registry, name: str
) -> None:
    params = required(registry, name)
    load_policy(written(tmp_path, as_yaml(tmp_path, policy_with(registry, name, params))))
    text = as_yaml(tmp_path, policy_with(registry, name, {**params, "no_such": 1}))
    (problem, *_) = problems(tmp_path, text)
    assert problem[0].startswith("policy.yaml:")
    assert "no_such: unknown key" in problem[1] or "takes a level" in problem[1]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[1]}-{case[2]}-{case[3]!r}")
def test_a_bad_value_is_told_with_its_line(tmp_path: Path, case: tuple[Registry, str, str, Any]) -> None:
    registry, name, key, value = case
    text = as_yaml(tmp_path, policy_with(registry, name, {**required(registry, name), key: value}))
    found = problems(tmp_path, text)
    line = next(i for i, line in enumerate(text.splitlines(), 1) if line.strip(" -").startswith(f"{key}:"))
    nearest = [where for where, what, _ in found if f".{key}" in what or "separator" in what]
    assert nearest, found
    # A value's line, or that of an item in it.
    last = line + len(str(value).split(","))
    assert all(line <= int(where.split(":")[1]) <= last for where in nearest)
    for _, what, _ in found:
        assert "\n" not in what
        assert "pydantic" not in what
        assert "Input" not in what
        assert "tuple" not in what


@pytest.mark.parametrize(
    ("name", "params", "words"),
    [
        ("pseudonymize", {"domain": "d", "length": 17}, "length must be even"),
        ("top-bottom-code", {}, "say bottom, top or both"),
        ("top-bottom-code", {"bottom": 5, "top": 5}, "bottom must be less than top"),
        ("intervals", {"widths": [5, 7]}, "does not divide"),
        ("intervals", {"widths": [5, 5]}, "does not divide"),
        ("intervals", {"widths": [5], "from": 3, "to": 2}, "to must be greater than from"),
        ("intervals", {"widths": [5], "to": 12}, "a multiple of the widest interval"),
        ("prefix", {"keep": [2, 2]}, "keep must fall"),
        ("dates", {"levels": ["year", "month"]}, "levels must grow"),
    ],
)
def test_values_that_do_not_go_together(
    tmp_path: Path, name: str, params: dict[str, Any], words: str
) -> None:
    registry = TRANSFORMS if name in tuple(TRANSFORMS) else HIERARCHIES
    ((where, what, _),) = problems(tmp_path, as_yaml(tmp_path, policy_with(registry, name, params)))
    assert words in what
    assert where.startswith("policy.yaml:")


def sections(
    model: type[BaseModel], seen: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Every section of the policy's model, with its keys."""
    yield seen, list(model.model_fields)
    for key, field in model.model_fields.items():
        inner = load._inner_model(field.annotation)
        if inner is not None and inner.__name__ not in ("Part", "Column"):
            yield from sections(inner, (*seen, key))


FULL: dict[str, Any] = {
    "sfumato": 1,
    "dataset": {"name": "p", "source": {"path": "p.csv"}, "population": {"table": {"path": "all.csv"}}},
    "columns": {"age": {"role": "quasi-identifier", "why": "x"}},
    "anonymity": {
        "models": [{"model": "k-anonymity", "k": 5}],
        "suppression_gap": {"groups": ["age"], "at_most": 0.1},
    },
    "sampling": {"share": 0.5},
    "context": {"release": "partner", "attackers": [{"knows": ["age"]}]},
    "evidence": {"holdout": {"share": 0.2}},
    "gate": [{"metric": "risk.unique", "at_most": 0.1}],
    "approvals": [{"by": "x", "what": "column age", "why": "x"}],
    "release": {"format": "csv"},
}


PRIVATE: dict[str, Any] = {
    "sfumato": 1,
    "dataset": {"name": "p", "source": {"path": "p.csv"}},
    "dp": {
        "budget": {"epsilon": 2, "delta": 0.000001},
        "epsilon": 1,
        "training": {
            "model": "linear-regression",
            "target": "pay",
            "range": [0, 9],
            "bounds": {"age": [0, 99]},
            "size": 100,
            "why": "x",
        },
        "delta": 0.0000001,
    },
}


MADE: dict[str, Any] = {
    "sfumato": 1,
    "dataset": {"name": "p", "source": {"path": "p.csv"}},
    "columns": {"age": {"role": "quasi-identifier", "why": "x"}},
    "synthesis": {
        "method": "aim",
        "dp": {"budget": {"epsilon": 2, "delta": 0.000001}, "epsilon": 1, "delta": 0.000001},
        "why": "x",
    },
    "evidence": {"holdout": 0.2},
}


@pytest.mark.parametrize("section", list(sections(Policy)), ids=lambda section: ".".join(section[0]) or "top")
def test_an_unknown_key_gets_the_nearest_right_one_at_every_depth(
    tmp_path: Path, section: tuple[tuple[str, ...], list[str]]
) -> None:
    place, keys = section
    import copy

    sections_of = {("dp",): PRIVATE, ("synthesis",): MADE, ("tables",): MADE}
    policy = copy.deepcopy(sections_of.get(place[:1], FULL))
    if place[:1] == ("tables",):
        policy["tables"] = {"bought": {"source": {"path": "b.csv"}, "key": "who", "columns": {}}}
        place = ("tables", "bought", *place[1:])
    if place == ("synthesis", "history"):
        policy["synthesis"]["history"] = {"time": "age", "window": [0, 9]}
    if place == ("synthesis", "images"):
        policy["synthesis"]["images"] = {"column": "file", "label": "age"}
    inner: Any = policy
    for key in place:
        inner = inner[key]
    inner = inner[0] if isinstance(inner, list) else inner
    wrong = keys[-1] + "s"
    inner[wrong] = 1
    text = as_yaml(tmp_path, policy)
    found = [problem for problem in problems(tmp_path, text) if "unknown key" in problem[1]]
    ((where, what, remedy),) = found
    assert wrong in what
    assert remedy == f'did you mean "{keys[-1]}"?'
    line = next(i for i, line in enumerate(text.splitlines(), 1) if f"{wrong}:" in line)
    assert where == f"policy.yaml:{line}"


def test_the_full_policy_loads(tmp_path: Path) -> None:
    """The broken twin of the test above: without the wrong key all of it is right."""
    loaded = load_policy(written(tmp_path, as_yaml(tmp_path, FULL)))
    assert loaded.policy.release.format == "csv"
    assert loaded.folder == tmp_path
    assert policy_from(FULL) == loaded.policy


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"evidence": None}, "needs evidence with a holdout"),
        ({"evidence": {"holdout": 0}}, "needs evidence with a holdout"),
        ({"sampling": {"share": 0.5}}, "sampling is for the people's own rows"),
        ({"anonymity": FULL["anonymity"]}, "anonymity is for the people's own rows"),
        ({"dp": PRIVATE["dp"]}, "dp is for the people's own rows"),
        ({"synthesis": {**MADE["synthesis"], "rare": "keep"}}, "rare: keep looks at what few people have"),
    ],
)
def test_made_rows_are_measured_and_nothing_else_is_done(change: dict[str, Any], words: str) -> None:
    """Made rows can repeat people: without a holdout nobody would know."""
    with pytest.raises(PolicyError, match=words):
        policy_from({**MADE, **change})


def test_a_synthesizer_learns_quasi_identifiers_as_they_are(tmp_path: Path) -> None:
    policy = policy_from(MADE)
    assert policy.columns["age"].done == "keep"
    assert policy.synthesis is not None
    assert policy.synthesis.by == "aim"
    assert policy_from(policy.model_dump(mode="json")) == policy
    told = {"role": "quasi-identifier", "why": "x", "action": {"do": "generalize", "level": 1}}
    assert policy_from({**MADE, "columns": {"age": told}}).columns["age"].done == "generalize"
    synthesis = {name: value for name, value in MADE["synthesis"].items() if name not in ("dp", "method")}
    plain = policy_from({**MADE, "synthesis": synthesis})
    assert plain.synthesis is not None
    assert plain.synthesis.by == "autoregressive"


def test_places_have_the_lines_they_were_written_on(tmp_path: Path) -> None:
    loaded = load_policy(written(tmp_path, MINIMAL + "gate:\n  - {metric: a.b, at_most: 1}\n"))
    assert loaded.where("dataset", "source", "path").endswith("policy.yaml:4")
    assert loaded.where("columns", "age", "role").endswith(":6")
    assert loaded.where("gate", 0, "metric").endswith(":8")
    assert loaded.where("gate", 5).endswith(":7")
    assert loaded.where("nowhere").endswith(":1")


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("yes", True), ("on", True), ("no", False), ("false", False), ('"no"', False)],
)
def test_truths_of_yaml_one_and_two(tmp_path: Path, text: str, value: bool) -> None:
    policy = MINIMAL.replace("why: x}", f"sensitive: {text}, why: x}}")
    assert load_policy(written(tmp_path, policy)).policy.columns["age"].sensitive is value


def test_names_that_other_yaml_takes_for_values(tmp_path: Path) -> None:
    """A country code NO, a date and a number are names of columns like any other."""
    policy = MINIMAL + "".join(
        f"  {name}: {{role: insensitive, why: x}}\n" for name in ("NO", "2020-01-01", "12")
    )
    assert list(load_policy(written(tmp_path, policy)).policy.columns) == ["age", "NO", "2020-01-01", "12"]


def test_anchors_may_be_used(tmp_path: Path) -> None:
    policy = MINIMAL.replace("why: x}", "hierarchy: &h {kind: suppress}, why: x}")
    policy += "  zip: {role: quasi-identifier, hierarchy: *h, why: x}\n"
    columns = load_policy(written(tmp_path, policy)).policy.columns
    assert columns["zip"].hierarchy == columns["age"].hierarchy


def test_parts_are_found_with_their_places(tmp_path: Path) -> None:
    loaded = load_policy(written(tmp_path, as_yaml(tmp_path, FULL)))
    found = {(place, registry.kind, part.name) for place, registry, part in parts_of(loaded.policy)}
    assert (("anonymity", "models", 0), "privacy model", "k-anonymity") in found
    assert (("anonymity", "measure"), "measure", "loss") in found
    assert (("evidence", "attacks", 1), "attack", "linkage") in found
    assert {name for _, kind, name in found if kind == "measure"} <= set(MEASURES)


@pytest.mark.parametrize(
    ("hierarchy", "what"),
    [
        ({"kind": "ordr"}, 'no hierarchy "ordr"'),
        ({"kind": "order", "order": ["a"]}, "anonymity.models.0.hierarchy.order: unknown key"),
        ({"values": ["a"]}, "anonymity.models.0.hierarchy: a hierarchy needs its kind"),
        ({"kind": ["order"]}, "anonymity.models.0.hierarchy: a hierarchy needs its kind"),
    ],
)
def test_the_hierarchy_of_a_model_is_checked_as_a_column_s_is(
    tmp_path: Path, hierarchy: dict[str, Any], what: str
) -> None:
    model = {
        "model": "t-closeness",
        "on": "ill",
        "t": 0.2,
        "distance": "hierarchical",
        "hierarchy": hierarchy,
    }
    policy = policy_with(MODELS, "k-anonymity", {"k": 5})
    policy["anonymity"]["models"] = [model]
    assert what in [problem[1] for problem in problems(tmp_path, as_yaml(tmp_path, policy))]


def test_a_comma_that_ends_a_text_is_explained(tmp_path: Path) -> None:
    column = "columns:\n  age: {role: quasi-identifier, why: known, as the rest is}\n"
    text = "sfumato: 1\ndataset: {name: p, source: {path: p.csv}}\n" + column
    ((where, what, remedy),) = problems(tmp_path, text)
    assert (where, what) == ("policy.yaml:4", "columns.age.as the rest is: unknown key")
    assert "a comma ends a text without quotes" in remedy


def test_a_policy_that_is_too_long_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no such policy"):
        load_policy(tmp_path / "nope.yaml")
    with pytest.raises(InputError, match="is a folder"):
        load_policy(tmp_path)
    monkeypatch.setattr(load, "LARGEST_POLICY", 10)
    with pytest.raises(InputError, match="larger than any policy"):
        load_policy(written(tmp_path, MINIMAL))


def test_a_mapping_from_python_is_checked_the_same() -> None:
    with pytest.raises(PolicyError) as caught:
        policy_from({**FULL, "gates": []})
    assert str(caught.value).startswith('policy: gates: gates: unknown key\n  to do: did you mean "gate"?')
    with pytest.raises(PolicyError, match="is a mapping"):
        policy_from([])  # type: ignore[arg-type]

"""Attacks on trained models whose answer is known, and on models that are none."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from sfumato.core.errors import InputError
from sfumato.core.values import Finding
from sfumato.evidence.models import shadows
from sfumato.evidence.models.membership import LIRA, LOSS, MODEL, OFFLINE, RELATIVE, ModelAttack, attack_model
from sfumato.evidence.models.shadows import Shadows, Told, likelihood_ratio, relative, surprise, teach, told

AT_1 = "model.tpr_at_1"


def one(attack: ModelAttack, metric: str, target: str = MODEL) -> Finding:
    (found,) = [f for f in attack.findings if (f.metric, f.target) == (metric, target)]
    return found


class Remembering:
    """A rule by the nearest of the people it was taught, and so sure of them as it is said to be."""

    def __init__(self, features: np.ndarray, labels: np.ndarray, sure: float) -> None:
        self.classes_ = np.array(["no", "yes"])
        self.known = {tuple(row): label for row, label in zip(np.asarray(features), labels, strict=True)}
        self.sure = sure

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        # Some people are easier than others, whether they were taught or not.
        found = np.full((len(features), 2), 0.5)
        for i, row in enumerate(np.asarray(features)):
            easy = 0.3 + 0.4 * row[0]
            label = self.known.get(tuple(row), "yes")
            own = easy + self.sure * (1 - easy) * (tuple(row) in self.known)
            found[i] = (own, 1 - own) if label == "no" else (1 - own, own)
        return found


def remembers(sure: float):
    return lambda features, labels, _: Remembering(features, labels, sure)


def people(n: int = 1000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    inside = np.zeros(n, dtype=bool)
    inside[draw.permutation(n)[: n // 2]] = True
    return draw.random((n, 3)), np.full(n, "yes"), inside


def test_a_model_that_remembers_a_little_is_caught_by_shadows_and_not_by_its_loss() -> None:
    features, labels, inside = people(1400)
    train = remembers(0.15)
    model = train(features[inside], labels[inside], 0)
    found = attack_model(model, features, labels, inside, train=train, shadows=8)
    assert one(found, AT_1, LOSS).value < 0.2
    for way in (LIRA, OFFLINE, RELATIVE, MODEL):
        assert one(found, AT_1, way).value > 0.95
        assert one(found, "model.auc", way).value > 0.99
    assert one(found, AT_1).low > 0.9
    assert one(found, AT_1).baseline == one(found, AT_1).control == 0.01


def test_a_model_that_never_saw_anybody_gives_chance() -> None:
    features, labels, inside = people()
    others = np.random.default_rng(9).random((500, 3))
    model = remembers(0.5)(others, np.full(500, "yes"), 0)
    found = attack_model(model, features, labels, inside, train=remembers(0.5), shadows=8)
    for way in (LOSS, LIRA, OFFLINE, RELATIVE, MODEL):
        finding = one(found, AT_1, way)
        assert finding.low <= 0.01 <= finding.high
        assert one(found, "model.auc", way).value == pytest.approx(0.5, abs=0.06)


def test_without_a_way_to_train_the_strong_attacks_are_not_measured() -> None:
    features, labels, inside = people()
    model = remembers(0.15)(features[inside], labels[inside], 0)
    found = attack_model(model, features, labels, inside)
    assert one(found, AT_1).value == one(found, AT_1, LOSS).value
    for way in (LIRA, OFFLINE, RELATIVE):
        assert one(found, AT_1, way).status == "not-measured"
        assert "shadow" in one(found, AT_1, way).note


def test_groups_are_compared_and_single_people_have_random_ids() -> None:
    features, labels, inside = people(1200)

    def train(features: np.ndarray, labels: np.ndarray, seed: int) -> Remembering:
        # Only people of the first kind are remembered.
        known = features[:, 1] < 0.5
        return Remembering(features[known], labels[known], 0.5)

    groups = {"kind": np.where(features[:, 1] < 0.5, "a", "b"), "all": np.full(1200, "x")}
    model = train(features[inside], labels[inside], 0)
    found = attack_model(model, features, labels, inside, train=train, shadows=8, groups=groups)
    assert one(found, AT_1, "kind=a").value > 0.9
    assert one(found, AT_1, "kind=b").value < 0.1
    assert one(found, "model.disparity", "kind").low > 0.7
    assert one(found, "model.disparity", "all").status == "no-power"
    table = found.people_at_risk
    assert table.columns == ["metric", "evidence_id", "risk"]
    assert table.height == 600
    assert table["evidence_id"].n_unique() == 600
    assert table["risk"].is_sorted(descending=True)
    assert table["risk"].max() > 0.99
    again = attack_model(model, features, labels, inside, train=train, shadows=8, groups=groups)
    assert again.findings == found.findings
    assert set(again.people_at_risk["evidence_id"]).isdisjoint(table["evidence_id"])


def test_few_people_have_no_figure_at_few_false_alarms() -> None:
    features, labels, inside = people(200)
    model = remembers(0.5)(features[inside], labels[inside], 0)
    found = attack_model(model, features, labels, inside, groups={"all": ["x"] * 200})
    assert one(found, AT_1).status == "no-power"
    assert "437" in one(found, AT_1).note
    assert one(found, "model.disparity", "all").status == "no-power"
    assert one(found, "model.auc").status == "measured"
    assert found.people_at_risk.height == 100


def test_scikit_learn_and_frames_of_either_kind() -> None:
    from sklearn.ensemble import RandomForestClassifier

    draw = np.random.default_rng(1)
    features, labels = draw.normal(size=(900, 4)), draw.integers(0, 3, 900)
    inside = np.arange(900) < 450

    def train(features, labels, seed):
        return RandomForestClassifier(5, random_state=seed).fit(np.asarray(features), labels)

    values = []
    frame = pl.DataFrame(features, schema=list("abcd"))
    for given in (features, frame, frame.to_pandas()):
        asked = given if isinstance(given, np.ndarray) else given.to_numpy()
        model = train(asked[inside], labels[inside], 0)
        plain = SimpleNamespace(
            classes_=model.classes_, predict_proba=lambda given, m=model: m.predict_proba(np.asarray(given))
        )
        found = attack_model(plain, given, labels, inside, train=lambda *a: _plain(train(*a)), shadows=4)
        values.append(one(found, AT_1).value)
    assert values[0] == values[1] == values[2]
    # A forest remembers labels that are pure noise.
    assert values[0] > 0.1


def _plain(model):
    return SimpleNamespace(
        classes_=model.classes_, predict_proba=lambda given: model.predict_proba(np.asarray(given))
    )


@pytest.mark.parametrize(
    "broken",
    [
        lambda f, y, m: attack_model(SimpleNamespace(), f, y, m),
        lambda f, y, m: attack_model(_says(np.full((len(f), 3), 0.5)), f, y, m),
        lambda f, y, m: attack_model(_says(np.full((len(f), 2), np.nan)), f, y, m),
        lambda f, y, m: attack_model(_says(np.full((len(f), 2), 0.5)), f, y[:-1], m),
        lambda f, y, m: attack_model(_says(np.full((len(f), 2), 0.5)), f, y, m | ~m),
        lambda f, y, m: attack_model(_says(np.full((len(f), 2), 0.5)), f, y, m, groups={"g": [1]}),
        lambda f, y, m: attack_model(remembers(0)(f, y, 0), f, y, m, train=remembers(0), shadows=2),
        lambda f, y, m: attack_model(remembers(0)(f, y, 0), f, y, m, train=remembers(0), shadows=0),
        lambda f, y, m: attack_model(
            remembers(0)(f, y, 0), f, y, np.arange(len(m)) > 2, train=remembers(0), shadows=6
        ),
    ],
)
def test_what_cannot_be_meant_is_an_error(broken) -> None:
    with pytest.raises(InputError) as raised:
        broken(*people(100))
    assert raised.value.code == "usage"


def _says(probabilities: np.ndarray) -> SimpleNamespace:
    return SimpleNamespace(classes_=np.array(["no", "yes"]), predict_proba=lambda _: probabilities)


def test_everybody_is_taught_to_half_of_the_models() -> None:
    features, labels, _ = people(100)
    seeds = []

    def train(features, labels, seed):
        seeds.append(seed)
        assert len(features) == len(labels) == 50
        return Remembering(features, labels, 0.5)

    found = teach(train, features, labels, 50, 6, bytes(32))
    assert (found.inside.sum(axis=0) == 3).all()
    assert (found.inside.sum(axis=1) == 50).all()
    assert len(set(seeds)) == 6
    assert (found.told.probability[found.inside] > 0.6).all()
    few = teach(remembers(0), features, labels, 20, 20, bytes(32))
    assert (few.inside.sum(axis=1) == 20).all()
    assert (few.inside.sum(axis=0) == 4).all()


def test_a_label_that_was_never_taught_has_probability_zero() -> None:
    model = _says(np.array([[0.9, 0.1], [0.2, 0.8]]))
    found = told(model, np.zeros((2, 1)), np.array(["no", "maybe"]))
    assert found.probability.tolist() == [0.9, 0.0]
    assert found.confidence[0] == pytest.approx(np.log(9), rel=1e-3)
    assert found.confidence[1] < -9


def test_the_scores_are_those_of_the_papers() -> None:
    draw = np.random.default_rng(2)
    inside = np.array([[True, False], [False, True], [True, True], [False, False]])
    chances = draw.uniform(0.2, 0.8, (4, 2))
    confidence = np.log(chances / (1 - chances))
    given = Shadows(Told(confidence, chances), inside)
    target = Told(np.array([0.3, -0.2]), np.array([0.6, 0.4]))
    means, squares = {}, {}
    for side in (True, False):
        for person in (0, 1):
            part = confidence[inside[:, person] == side, person]
            means[side, person] = part.mean()
            squares[side, person] = ((part - part.mean()) ** 2).sum()
    pooled = {side: (squares[side, 0] + squares[side, 1]) / 2 for side in (True, False)}
    for person in (0, 1):
        at = target.confidence[person]
        logs = {
            side: -np.log(pooled[side]) / 2 - (at - means[side, person]) ** 2 / 2 / pooled[side]
            for side in (True, False)
        }
        assert likelihood_ratio(target, given)[person] == pytest.approx(logs[True] - logs[False])
        assert surprise(target, given)[person] == pytest.approx(
            (at - means[False, person]) / np.sqrt(pooled[False])
        )
        average = np.mean([chances[inside[:, person] == side, person].mean() for side in (True, False)])
        assert relative(target, given)[person] == pytest.approx(target.probability[person] / average)


def test_with_many_models_each_person_has_a_variance(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = np.tile([[True, True], [False, False]], (4, 1))
    confidence = np.array([[1.0, 10.0], [0.0, 0.0], [2.0, 30.0], [1.0, 20.0]] * 2)
    given = Shadows(Told(confidence, confidence), inside)
    target = Told(np.array([1.0, 20.0]), np.array([0.5, 0.5]))
    assert surprise(target, given)[0] != pytest.approx(surprise(target, given)[1])
    monkeypatch.setattr(shadows, "_OWN_VARIANCE", 2)
    assert surprise(target, given)[0] == pytest.approx(surprise(target, given)[1])


def test_the_published_share_of_a_population_orders_people_as_the_ratio_does() -> None:
    draw = np.random.default_rng(3)
    ratios, population = draw.lognormal(size=300), draw.lognormal(size=5000)
    shares = np.array([(ratio / population >= 1).mean() for ratio in ratios])
    order = np.argsort(ratios)
    assert (np.diff(shares[order]) >= 0).all()

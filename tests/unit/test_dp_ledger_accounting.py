"""What events cost, against closed forms and sums over outcomes; and what must not be charged as what."""

from __future__ import annotations

import math

import numpy as np
import pytest
from dp_accounting import dp_event as dp
from dp_accounting.privacy_accountant import NeighboringRelation
from dp_accounting.rdp import RdpAccountant
from scipy import stats

from sfumato.core.errors import InputError
from sfumato.dp.accounting import Relation, delta_of, epsilon_of, least_epsilon, noise_for, rdp_of
from sfumato.dp.divergences import pure_divergence, rho_of
from sfumato.dp.events import DiscreteGaussianDpEvent, StatedDpEvent, from_json, to_json, words
from sfumato.dp.stated import stated_cost

SGD = dp.SelfComposedDpEvent(dp.PoissonSampledDpEvent(0.04, dp.GaussianDpEvent(1.0)), 500)
RELATIONS: tuple[Relation, ...] = ("add-remove", "replace-one")


def gaussian_delta(noise: float, epsilon: float) -> float:
    """Balle & Wang 2018, Theorem 8."""
    return float(
        stats.norm.cdf(1 / (2 * noise) - epsilon * noise)
        - math.exp(epsilon) * stats.norm.cdf(-1 / (2 * noise) - epsilon * noise)
    )


def hockey(p: np.ndarray, q: np.ndarray, epsilon: float) -> float:
    """The delta of two distributions at an epsilon, the worse way round."""
    grown = math.exp(epsilon)
    return max(float(np.maximum(p - grown * q, 0).sum()), float(np.maximum(q - grown * p, 0).sum()))


def discrete_gaussian(sigma: float, at: int, reach: int = 400) -> np.ndarray:
    """Canonne, Kamath & Steinke 2020, Definition 1, around a whole number."""
    points = np.arange(-reach, reach + 1) - at
    mass = np.exp(-(points**2) / (2 * sigma**2))
    return mass / np.exp(-(np.arange(-5 * reach, 5 * reach + 1) ** 2) / (2 * sigma**2)).sum()


def discrete_laplace(parameter: float, at: int, reach: int = 400) -> np.ndarray:
    points = np.arange(-reach, reach + 1) - at
    return np.exp(-parameter * abs(points)) * math.tanh(parameter / 2)


def close_above(found: float, exact: float, slack: float = 2e-3) -> None:
    """An upper bound that gives nothing much away."""
    assert exact * (1 - 1e-9) <= found <= exact * (1 + slack) + 1e-9


def test_known_figures() -> None:
    cost = epsilon_of(SGD, 1e-5)
    assert cost.method == "pld"
    assert cost.epsilon == pytest.approx(5.879, abs=1e-3)
    assert cost.replace_epsilon == pytest.approx(9.324, abs=1e-3)
    assert epsilon_of(SGD, 1e-5, relation="replace-one").epsilon == cost.replace_epsilon
    # The central limit of gdp says 5.268 and is no bound.
    assert cost.epsilon > 5.268


def test_known_figure_of_renyi() -> None:
    from sfumato.dp.divergences import divergences

    found = divergences(SGD, "add-remove")
    assert found is not None
    assert found.epsilon(1e-5) == pytest.approx(6.516, abs=1e-3)


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize(("noise", "epsilon"), [(0.7, 3.0), (2.0, 0.5), (10.0, 0.1), (50.0, 0.02)])
def test_gaussian_is_the_analytic_one(noise: float, epsilon: float, relation: Relation) -> None:
    moved = noise / 2 if relation == "replace-one" else noise
    found = delta_of(dp.GaussianDpEvent(noise), epsilon, relation=relation)
    close_above(found, gaussian_delta(moved, epsilon))


@pytest.mark.parametrize(("count", "noise"), [(4, 2.0), (25, 10.0)])
def test_gaussians_compose_as_one(count: int, noise: float) -> None:
    many = dp.ComposedDpEvent([dp.GaussianDpEvent(noise)] * count)
    close_above(delta_of(many, 0.5), gaussian_delta(noise / math.sqrt(count), 0.5))


@pytest.mark.parametrize("relation", RELATIONS)
def test_laplace_is_the_closed_form(relation: Relation) -> None:
    steps = 2 if relation == "replace-one" else 1
    for epsilon in (0.0, 0.2, 0.4):
        exact = 1 - math.exp((epsilon - steps * 0.5) / 2)
        close_above(delta_of(dp.LaplaceDpEvent(2.0), epsilon, relation=relation), exact)
    assert epsilon_of(dp.LaplaceDpEvent(2.0), 0.0, relation=relation).epsilon == 0.5 * steps
    assert delta_of(dp.LaplaceDpEvent(2.0), 0.5 * steps, relation=relation) == 0.0


@pytest.mark.parametrize("sensitivity", [1, 3])
def test_discrete_laplace_is_the_sum_over_whole_numbers(sensitivity: int) -> None:
    event = dp.DiscreteLaplaceDpEvent(0.3, sensitivity)
    p, q = discrete_laplace(0.3, 0), discrete_laplace(0.3, sensitivity)
    for epsilon in (0.0, 0.1, 0.25):
        close_above(delta_of(event, epsilon), hockey(p, q, epsilon), 5e-3)
    assert epsilon_of(event, 0.0).epsilon == pytest.approx(0.3 * sensitivity)


@pytest.mark.parametrize(("sigma", "sensitivity"), [(0.8, 1), (3.0, 1), (5.0, 4)])
def test_discrete_gaussian_is_the_sum_over_whole_numbers(sigma: float, sensitivity: int) -> None:
    event = DiscreteGaussianDpEvent(sigma, sensitivity)
    p, q = discrete_gaussian(sigma, 0), discrete_gaussian(sigma, sensitivity)
    for epsilon in (0.1, 0.5, 1.0):
        close_above(delta_of(event, epsilon), hockey(p, q, epsilon), 0.03)
    # Replacing moves a number by twice as much, or two numbers.
    double = hockey(p, discrete_gaussian(sigma, 2 * sensitivity), 1.0)
    two = hockey(np.outer(p, q).ravel(), np.outer(q, p).ravel(), 1.0)
    assert delta_of(event, 1.0, relation="replace-one") >= max(double, two)


def test_discrete_gaussian_is_not_charged_as_the_continuous_one() -> None:
    sigma, epsilon = 1.0, 2.2
    exact = hockey(discrete_gaussian(sigma, 0), discrete_gaussian(sigma, 1), epsilon)
    assert exact > 1.01 * gaussian_delta(sigma, epsilon)
    assert delta_of(DiscreteGaussianDpEvent(sigma), epsilon) >= exact
    # Its Rényi divergences are those of the continuous one, or less.
    p, q = discrete_gaussian(sigma, 0), discrete_gaussian(sigma, 1)
    seen = (p > 0) & (q > 0)
    for order in (1.5, 2.0, 8.0):
        ratios = order * np.log(p[seen]) + (1 - order) * np.log(q[seen])
        assert math.log(np.exp(ratios).sum()) / (order - 1) <= order / (2 * sigma**2) + 1e-12
        assert rdp_of(DiscreteGaussianDpEvent(sigma), order, "add-remove") == (
            pytest.approx(order / (2 * sigma**2)),
            0.0,
        )


@pytest.mark.parametrize("make", [discrete_laplace, None])
def test_one_number_moved_far_is_worse_than_two_moved_less(make: object) -> None:
    """Noise on a vector is charged by one number that moves by the whole L1 distance."""
    parameter = 0.4
    one = (discrete_laplace(parameter, 0), discrete_laplace(parameter, 2))
    step = (discrete_laplace(parameter, 0, 150), discrete_laplace(parameter, 1, 150))
    p, q = np.outer(step[0], step[0]).ravel(), np.outer(step[1], step[1]).ravel()
    for epsilon in np.linspace(0, 0.8, 9):
        assert hockey(p, q, epsilon) <= hockey(*one, epsilon) + 1e-12


@pytest.mark.parametrize(("noise", "buckets"), [(0.5, 2), (0.8, 5)])
def test_randomized_response_is_its_table(noise: float, buckets: int) -> None:
    event = dp.RandomizedResponseDpEvent(noise, buckets)
    p = np.full(buckets, noise / buckets)
    q = p.copy()
    p[0] += 1 - noise
    q[1] += 1 - noise
    pure = math.log(p[0] / q[0])
    assert epsilon_of(event, 0.0, relation="replace-one").epsilon == pytest.approx(pure)
    close_above(delta_of(event, pure / 2, relation="replace-one"), hockey(p, q, pure / 2))
    for order in (1.5, 4.0):
        exact = math.log((p**order * q ** (1 - order)).sum()) / (order - 1)
        assert rdp_of(event, order, "replace-one") == (pytest.approx(exact), 0.0)
        assert exact <= float(pure_divergence(pure, [order])[0]) * (1 + 1e-12)
    # Of a person who is not there nothing is answered at all.
    with pytest.raises(InputError, match="replace-one"):
        epsilon_of(event, 1e-5)


def sampled_divergence(q: float, sigma: float, order: float) -> float:
    """The Rényi divergence of samples that hold one value or its opposite, by quadrature."""
    x = np.linspace(-25 * sigma, 25 * sigma, 200_001)
    none = np.log1p(-q) + stats.norm.logpdf(x, 0, sigma)
    one, other = (np.logaddexp(none, np.log(q) + stats.norm.logpdf(x, at, sigma)) for at in (1, -1))
    return float(math.log(np.trapezoid(np.exp(order * one + (1 - order) * other), x)) / (order - 1))


@pytest.mark.parametrize(("q", "sigma", "order"), [(0.04, 1.0, 3.0), (0.2, 2.0, 8.0), (0.01, 0.8, 2.0)])
def test_sampled_gaussian_with_one_replaced(q: float, sigma: float, order: float) -> None:
    event = dp.PoissonSampledDpEvent(q, dp.GaussianDpEvent(sigma))
    found = rdp_of(event, order, "replace-one")
    assert found is not None
    exact = sampled_divergence(q, sigma, order)
    assert exact <= found[0]
    # Left as the library has it, the figure would be of "add-remove" alone, and too small.
    alone = rdp_of(event, order, "add-remove")
    assert alone is not None
    assert alone[0] < exact


def test_replacing_doubles_what_the_library_leaves_single() -> None:
    """By RDP, dp_accounting charges a replacement no more than a removal, by PLD it does: we always do."""
    library = RdpAccountant(neighboring_relation=NeighboringRelation.REPLACE_ONE)
    undercharged = library.compose(dp.GaussianDpEvent(2.0)).get_epsilon(1e-5)
    assert undercharged < epsilon_of(dp.GaussianDpEvent(1.0), 1e-5).epsilon
    found = rdp_of(dp.GaussianDpEvent(2.0), 4.0, "replace-one")
    assert found == (pytest.approx(4.0 / 2), 0.0)
    sampled = dp.SampledWithoutReplacementDpEvent(100, 10, dp.GaussianDpEvent(2.0))
    single = RdpAccountant([4.0], NeighboringRelation.REPLACE_ONE)
    single.compose(dp.SampledWithoutReplacementDpEvent(100, 10, dp.GaussianDpEvent(1.0)))
    assert rdp_of(sampled, 4.0, "replace-one") == (pytest.approx(float(single.rdp[0])), 0.0)


@pytest.mark.parametrize("seed", range(5))
def test_two_steps_bound_any_three_distributions(seed: int) -> None:
    """What stands for one person replaced holds for any data, data without the person, and other data."""
    rng = np.random.default_rng(seed)
    p, r, q = rng.dirichlet(np.full(4, 2.0), 3)
    for epsilon in (0.2, 0.7):
        delta = max(hockey(p, r, epsilon), hockey(r, q, epsilon))
        assert hockey(p, q, 2 * epsilon) <= (1 + math.exp(epsilon)) * delta + 1e-12

    def renyi(a: np.ndarray, b: np.ndarray, order: float) -> float:
        return math.log((a**order * b ** (1 - order)).sum()) / (order - 1)

    for order in (1.5, 3.0):
        bound = (order - 0.5) / (order - 1) * renyi(p, r, 2 * order) + renyi(r, q, 2 * order - 1)
        assert renyi(p, q, order) <= bound


@pytest.mark.parametrize(
    "event",
    [
        dp.PoissonSampledDpEvent(0.1, dp.LaplaceDpEvent(1.0)),
        dp.PoissonSampledDpEvent(0.1, DiscreteGaussianDpEvent(2.0)),
        dp.PoissonSampledDpEvent(0.1, StatedDpEvent(0.5, 1e-9)),
        dp.ComposedDpEvent([dp.GaussianDpEvent(3.0), dp.ZCDpEvent(0.01, 0.1), StatedDpEvent(0.1, 1e-9)]),
        dp.MixtureOfGaussiansDpEvent(2.0, [0.0, 1.0], [0.9, 0.1]),
        dp.TruncatedSubsampledGaussianDpEvent(1000, 0.05, 80, 1.0),
        dp.ComposedDpEvent([dp.MixtureOfGaussiansDpEvent(2.0, [0.0, 1.0], [0.9, 0.1]), dp.ZCDpEvent(0.01)]),
        dp.RepeatAndSelectDpEvent(SGD, 5.0, 1.0),
    ],
)
def test_every_event_has_both_figures(event: dp.DpEvent) -> None:
    cost = epsilon_of(event, 1e-5)
    assert 0 < cost.epsilon <= cost.replace_epsilon < math.inf
    # What accounting says is a delta at its epsilon, and the other way round.
    assert delta_of(event, cost.epsilon * 1.01) <= 1.01e-5 if cost.method != "basic" else True


def test_a_sample_of_stated_mechanisms_is_amplified() -> None:
    cost = stated_cost(dp.PoissonSampledDpEvent(0.1, StatedDpEvent(1.0, 1e-6)), "add-remove")
    assert cost == (pytest.approx(math.log1p(0.1 * math.expm1(1.0))), pytest.approx(1e-7))


def test_stated_deltas_are_spent_first() -> None:
    event = dp.ComposedDpEvent([dp.GaussianDpEvent(5.0), StatedDpEvent(0.1, 1e-6)])
    assert epsilon_of(event, 1e-6).epsilon == math.inf
    assert epsilon_of(event, 0.9e-6).epsilon == math.inf
    assert epsilon_of(event, 1.1e-6).epsilon < math.inf


def test_rho_of_an_epsilon_carries_every_divergence() -> None:
    orders = np.concatenate([np.linspace(1.001, 5, 200), np.geomspace(5, 1e5, 200)])
    for epsilon in (0.01, 0.5, 2.0, 8.0):
        rho, _ = rho_of(StatedDpEvent(epsilon), "add-remove") or (0.0, 0.0)
        assert (pure_divergence(epsilon, orders) <= rho * orders * (1 + 1e-9)).all()
        assert rho <= epsilon**2 / 2


def test_without_delta_only_pure_events_have_an_epsilon() -> None:
    assert epsilon_of(dp.GaussianDpEvent(5.0), 0.0).epsilon == math.inf
    assert epsilon_of(dp.ComposedDpEvent([dp.LaplaceDpEvent(4.0)] * 3), 0.0).epsilon == pytest.approx(0.75)
    assert epsilon_of(dp.NoOpDpEvent(), 0.0).epsilon == 0.0


@pytest.mark.parametrize(
    "event",
    [
        dp.NonPrivateDpEvent(),
        dp.GaussianDpEvent(0.0),
        dp.LaplaceDpEvent(0.0),
        dp.DiscreteLaplaceDpEvent(0.0, 1),
        DiscreteGaussianDpEvent(0.0),
        dp.PoissonSampledDpEvent(0.5, dp.LaplaceDpEvent(0.0)),
        dp.PoissonSampledDpEvent(0.5, DiscreteGaussianDpEvent(0.0)),
        dp.ComposedDpEvent([dp.LaplaceDpEvent(0.0), dp.GaussianDpEvent(3.0)]),
    ],
)
def test_no_noise_has_no_bound(event: dp.DpEvent) -> None:
    cost = epsilon_of(event, 1e-5)
    assert cost.epsilon == cost.replace_epsilon == math.inf


@pytest.mark.parametrize(
    "event",
    [
        dp.SelfComposedDpEvent(dp.GaussianDpEvent(1.0), -5),
        dp.SelfComposedDpEvent(dp.GaussianDpEvent(1.0), 0),
        dp.ComposedDpEvent([dp.GaussianDpEvent(-1.0)]),
        dp.GaussianDpEvent(math.nan),
        dp.PoissonSampledDpEvent(1.5, dp.GaussianDpEvent(1.0)),
        dp.PoissonSampledDpEvent(-0.1, dp.GaussianDpEvent(1.0)),
        StatedDpEvent(-1.0),
        StatedDpEvent(1.0, 2.0),
        dp.ZCDpEvent(-0.5),
        dp.SampledWithoutReplacementDpEvent(10, 20, dp.GaussianDpEvent(1.0)),
        dp.RepeatAndSelectDpEvent(dp.GaussianDpEvent(1.0), 0.5, 1.0),
        dp.UnsupportedDpEvent(),
        dp.SampledWithReplacementDpEvent(10, 2, dp.GaussianDpEvent(1.0)),
    ],
)
def test_impossible_events_cost_nothing_less_than_an_error(event: dp.DpEvent) -> None:
    with pytest.raises(InputError) as caught:
        epsilon_of(event, 1e-5)
    assert caught.value.code == "event-unsupported"


@pytest.mark.parametrize(
    "event",
    [
        dp.PoissonSampledDpEvent(1e-6, dp.GaussianDpEvent(5.0)),
        dp.PoissonSampledDpEvent(1e-9, dp.GaussianDpEvent(30.0)),
        dp.GaussianDpEvent(1e9),
        dp.LaplaceDpEvent(1e9),
        DiscreteGaussianDpEvent(1e9),
    ],
)
def test_little_is_not_nothing(event: dp.DpEvent) -> None:
    """The library makes an epsilon of zero of a divergence that drowned in rounding."""
    inner = getattr(event, "event", event)
    noise = getattr(inner, "noise_multiplier", 1e9)
    apart = getattr(event, "sampling_probability", 1.0) * 0.9 / (math.sqrt(2 * math.pi) * noise)
    assert delta_of(event, 0.0) >= apart
    assert (rdp_of(event, 2.0, "add-remove") or (0.0, 0.0))[0] > 0


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize(
    "event", [StatedDpEvent(30.0, 1e-7), StatedDpEvent(1000.0, 1e-7), StatedDpEvent(1e9)]
)
def test_hardly_any_privacy_is_no_error(event: dp.DpEvent, relation: Relation) -> None:
    for delta in (1e-12, 1e-5, 0.9):
        assert least_epsilon(event, delta, relation)[0] > 27
    assert 0 < delta_of(event, 1.0, relation=relation) <= 1


@pytest.mark.parametrize("relation", RELATIONS)
def test_noise_for_is_the_least_on_the_safe_side(relation: Relation) -> None:
    found = noise_for(dp.GaussianDpEvent, 0.7, 1e-6, relation=relation)
    assert least_epsilon(dp.GaussianDpEvent(found), 1e-6, relation)[0] <= 0.7
    assert least_epsilon(dp.GaussianDpEvent(found * (1 - 2e-4)), 1e-6, relation)[0] > 0.7


def test_noise_for_a_training() -> None:
    def make(noise: float) -> dp.DpEvent:
        return dp.SelfComposedDpEvent(dp.PoissonSampledDpEvent(0.1, dp.GaussianDpEvent(noise)), 20)

    found = noise_for(make, 2.0, 1e-5)
    assert least_epsilon(make(found), 1e-5, "add-remove")[0] <= 2.0
    assert least_epsilon(make(found * (1 - 3e-4)), 1e-5, "add-remove")[0] > 2.0


def test_noise_for_what_noise_does_not_help() -> None:
    with pytest.raises(InputError, match="no noise"):
        noise_for(lambda _: StatedDpEvent(5.0), 1.0, 1e-5)
    with pytest.raises(InputError, match="so little"):
        noise_for(lambda _: dp.NoOpDpEvent(), 1.0, 1e-5)
    with pytest.raises(InputError):
        noise_for(dp.GaussianDpEvent, 0.0, 1e-5)


@pytest.mark.parametrize("delta", [-1e-9, 1.0, math.nan])
def test_delta_is_a_chance(delta: float) -> None:
    with pytest.raises(InputError):
        epsilon_of(SGD, delta)


def test_relation_is_one_of_two() -> None:
    with pytest.raises(InputError, match="neighbouring"):
        epsilon_of(SGD, 1e-5, relation="replace")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (SGD, "Gaussian noise, multiplier 1, sampled 0.04, 500 times"),
        (DiscreteGaussianDpEvent(3.5, 2), "discrete Gaussian noise, sigma 3.5, sensitivity 2"),
        (
            dp.RepeatAndSelectDpEvent(StatedDpEvent(0.5), 10, math.inf),
            "the best of a random number of runs, 10 on average, each: a mechanism of epsilon 0.5",
        ),
        (
            dp.ComposedDpEvent([dp.LaplaceDpEvent(2.0), dp.ZCDpEvent(0.1)]),
            "Laplace noise, multiplier 2; concentrated noise, rho 0.1",
        ),
        (dp.ComposedDpEvent([]), "nothing of people"),
    ],
)
def test_events_come_back_and_are_told_in_words(event: dp.DpEvent, said: str) -> None:
    assert from_json(to_json(event)) == event
    assert words(event) == said


@pytest.mark.parametrize(
    "document",
    [{}, {"kind": "Gaussian"}, {"kind": "GaussianDpEvent"}, {"kind": "GaussianDpEvent", "noise": 1}],
)
def test_what_is_no_event_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(InputError) as caught:
        from_json(document)
    assert caught.value.code == "event-unsupported"


def test_numbers_of_numpy_are_numbers() -> None:
    event = dp.SelfComposedDpEvent(dp.GaussianDpEvent(np.float64(2.0)), np.int64(3))
    assert to_json(event) == to_json(dp.SelfComposedDpEvent(dp.GaussianDpEvent(2.0), 3))


def test_fewer_parts_cost_the_same() -> None:
    from sfumato.dp.events import simplified

    event = dp.ComposedDpEvent(
        [
            dp.SelfComposedDpEvent(
                dp.ComposedDpEvent([dp.GaussianDpEvent(20.0), dp.LaplaceDpEvent(30.0)]), 4
            ),
            dp.GaussianDpEvent(10.0),
            dp.LaplaceDpEvent(30.0),
            dp.NoOpDpEvent(),
        ]
    )
    fewer = simplified(event)
    assert fewer == dp.ComposedDpEvent(
        [dp.GaussianDpEvent(math.sqrt(50.0)), dp.SelfComposedDpEvent(dp.LaplaceDpEvent(30.0), 5)]
    )
    rho, _ = rho_of(event, "add-remove") or (0.0, 0.0)
    assert rho_of(fewer, "add-remove") == (pytest.approx(rho), 0.0)
    found, again = rdp_of(event, 8.0, "replace-one"), rdp_of(fewer, 8.0, "replace-one")
    assert found is not None
    assert again == (pytest.approx(found[0]), 0.0)


def test_little_noise_is_accounted_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    """The library warns of every order whose series does not converge; nobody could do anything about it."""
    step = dp.PoissonSampledDpEvent(0.1, dp.GaussianDpEvent(0.53))
    assert 40 < epsilon_of(dp.SelfComposedDpEvent(step, 300), 1e-5).epsilon < 60
    assert not caplog.records

"""Figures and metrics in words, the same in the dossier, the decision and the charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sfumato.core.disclosure import LEAST
from sfumato.core.errors import InputError
from sfumato.core.values import Finding

#: What a reader sees for a metric; others are made from the metric's own name.
TITLES: Mapping[str, str] = {
    "risk.worst_class": "Risk of the most exposed person",
    "risk.marketer": "Mean risk over everybody",
    "risk.at_risk": "People in small classes",
    "risk.unique": "People alone in their class",
    "risk.journalist": "Most exposed person in the population",
    "risk.population_unique": "People unique in the population",
    "risk.unique_all_columns": "People unique, every column known",
    "risk.worst_class_all_columns": "Most exposed person, every column known",
    "composition.worst_class": "Most exposed person, with earlier releases",
    "composition.below_k": "People below k, with earlier releases",
    "composition.success": "Mean risk, with earlier releases",
    "composition.success_gap": "Largest gap in that risk",
    "composition.by_labels": "Mean risk by what labels cover, with earlier releases",
    "composition.worst_by_labels": "Most exposed person by what labels cover",
    "composition.differenced": "Few who came or went between releases",
    "composition.disclosed": "Sensitive values that several releases tell",
    "composition.subtracted": "Sensitive values that a subtraction tells",
    "composition.joined_broken": "Promises broken once pseudonyms join releases",
    "composition.copies_excess": "Copies in all releases together",
    "composition.copies_close_excess": "Near copies in all releases together",
    "composition.retelling_excess": "Histories told again in all releases together",
    "composition.retelling_close_excess": "Histories nearly told again in all releases together",
    "composition.relations_rows_excess": "People rows of whom are in all releases together",
    "composition.relations_whole_excess": "People all of whose rows are in all releases together",
    "composition.relations_close_excess": "People all of whose rows are nearly in all releases together",
    "composition.both_excess": "Learned from own and made rows together",
    "composition.both_record_excess": "Records told apart by own and made rows together",
    "composition.both_success": "Sensitive values guessed from own and made rows",
    "linkage.success": "Linkage: people of a register found",
    "linkage.excess": "Linkage: found beyond people not there",
    "linkage.precision": "Linkage: right among the surest claims",
    "linkage.classes_over_rows": "Linkage with exact knowledge of everybody",
    "linkage.disparity": "Linkage: difference between groups",
    "linkage.success_all_columns": "Linkage, every column known",
    "linkage.unique_matches": "Register: people with exactly one match",
    "linkage.expected_claims": "Register: people a claim would name",
    "singling_out.risk": "Singling out: guesses that point to one person",
    "singling_out.excess": "Singling out: beyond people not there",
    "singling_out.disparity": "Singling out: difference between groups",
    "linkability.risk": "Linkability: halves of a row brought together",
    "linkability.excess": "Linkability: beyond people not there",
    "linkability.disparity": "Linkability: difference between groups",
    "attribute_inference.success": "Inference: secrets guessed rightly",
    "attribute_inference.excess": "Inference: beyond people not there",
    "attribute_inference.precision": "Inference: right among the surest guesses",
    "attribute_inference.recall": "Inference: secrets found",
    "attribute_inference.disparity": "Inference: difference between groups",
    "membership.auc": "Membership: how well it is told (AUC)",
    "membership.advantage": "Membership: advantage over guessing",
    "membership.precision": "Membership: right among the surest",
    "membership.disparity": "Membership: difference between groups",
    "membership.tpr_at_1": "Membership: found at 1 % false alarms",
    "membership.tpr_at_01": "Membership: found at 0.1 % false alarms",
    "membership.tpr_at_1_all_columns": "Membership: found at 1 % false alarms, every column known",
    "shadow_membership.auc": "Membership by shadow releases: how well it is told (AUC)",
    "shadow_membership.advantage": "Membership by shadow releases: advantage over guessing",
    "shadow_membership.precision": "Membership by shadow releases: right among the surest",
    "shadow_membership.disparity": "Membership by shadow releases: difference between groups",
    "shadow_membership.tpr_at_1": "Membership by shadow releases: found at 1 % false alarms",
    "shadow_membership.tpr_at_01": "Membership by shadow releases: found at 0.1 % false alarms",
    "shadow_membership.tpr_at_1_all_columns": "Membership by shadow releases: every column known",
    "copies.excess": "Copies: people repeated beyond people who did not teach",
    "copies.close_excess": "Copies: people nearly repeated beyond people who did not teach",
    "copies.near_excess": "Copies: people nearer to a made row than to others",
    "copies.alone_excess": "Copies: people alone with their row, repeated",
    "copies.few_excess": "Copies: rows of few people, repeated",
    "copies.known_excess": "Copies: rows as outsiders know them, repeated",
    "copies.extremes": "Copies: extreme values of one person, repeated",
    "copies.share": "Copies: people repeated",
    "copies.disparity": "Copies: difference between groups",
    "copies.rows": "Copies: made rows that repeat somebody",
    "images.copies_excess": "Copies: images made again, beyond chance",
    "images.repeated_excess": "Copies: people an image of whom was made again",
    "images.copies": "Copies: images made again",
    "images.memorized": "Images nearer to those that taught",
    "images.members_auc": "Membership by nearness of images (AUC)",
    "images.classifier_auc": "AUC on people's images, taught by made ones",
    "images.classifier_accuracy": "Accuracy on people's images, taught by made ones",
    "images.class_balance": "Distance of how often each class is",
    "images.distance": "Distance of images from people's",
    "images.variety": "Variety of images within a class",
    "retelling.excess": "Retelling: histories repeated but for one side",
    "retelling.close_excess": "Retelling: histories repeated but for trifles",
    "retelling.beyond": "Retelling: histories beyond what ten people reach",
    "relations.rows_excess": "Copies: people rows of whom are made again",
    "relations.whole_excess": "Copies: people all of whose rows in a table are made again",
    "relations.close_excess": "Copies: people whose rows are made again but for trifles",
    "relations.close_rows_excess": "Copies: people rows of whom are made again but for trifles",
    "relations.beyond": "Made people beyond what ten people reach",
    "outliers.excess": "Membership of the most unlike others",
    "outliers.auc": "Membership of the most unlike others (AUC)",
    "outliers.near_excess": "The most unlike others, nearly repeated",
    "learning.auc": "AUC on people held out",
    "learning.skill_ratio": "Share of the original's skill kept",
    "histories.length_ks": "Distance of how many events people have (KS)",
    "histories.mean_length": "How far the mean number of events is off",
    "histories.gap_ks": "Distance of the time between events (KS)",
    "histories.amount_ks": "Distance of amounts (KS)",
    "histories.transitions_tv": "Distance of what follows what",
    "histories.repeats": "How far items that come again are off",
    "histories.unordered": "Made people whose events are out of order",
    "tables.count_ks": "Distance of how many rows people have (KS)",
    "tables.mean_count": "How far the mean number of rows is off",
    "tables.column_tv": "Distance of a column of a table",
    "tables.across_tv": "Distance of what goes with what across tables",
    "distributions.tv": "Distance of a column from the original's",
    "distributions.precision": "Detail kept in a column",
    "correlations.error": "Mean change of associations",
    "correlations.worst_error": "Largest change of an association",
    "fairness.suppressed": "Share of rows suppressed",
    "fairness.suppression_gap": "Largest gap in rows suppressed",
    "fairness.auc": "AUC within the group",
    "fairness.selection": "Share that the model selects",
    "fairness.fnr": "Positives that the model misses",
    "fairness.fpr": "Negatives that the model selects",
    "fairness.selection_gap": "Largest gap in selection",
    "fairness.fnr_gap": "Largest gap in positives missed",
    "fairness.fpr_gap": "Largest gap in negatives selected",
    "distributions.ks": "Distance of a column of numbers (KS)",
    "distributions.wasserstein": "How far the numbers of a column moved",
    "marginals.two": "Distance of tables of two columns",
    "marginals.three": "Distance of tables of three columns",
    "marginals.worst": "Largest distance of a table of two columns",
    "marginals.score": "NIST's k-marginal score",
    "tails.extremes": "Far ends of numbers kept",
    "tails.categories": "Rare categories kept",
    "tails.combinations": "Rare combinations kept",
    "propensity.pmse_ratio": "Rows told apart from the original's",
    "regression.overlap": "Overlap of regression coefficients' intervals",
    "regression.same_sign": "Regression coefficients of the same sign",
    "findings.value": "A named figure",
    "findings.overlap": "Overlap of a named figure's intervals",
    "findings.change": "Change of a named figure",
    "findings.same_sign": "A named figure has the same sign",
    "learning.r2": "Variance explained on people held out",
    "learning.brier": "Brier score on people held out",
    "learning.calibration": "Calibration error on people held out",
    "learning.importance": "Agreement on which columns matter",
    "fairness.calibration": "Calibration error within the group",
    "fairness.calibration_gap": "Largest gap in calibration",
    "risk.class_share": "People by the size of their class",
    "risk.k_map": "Most exposed person in the population, surely",
    "risk.k_map_at_risk": "People in small classes of the population",
    "risk.disparity": "Mean risk: difference between groups",
    "risk.at_risk_disparity": "People in small classes: difference between groups",
    "suda.special_uniques": "People whom up to three columns single out",
    "suda.set": "People singled out by one set of columns",
    "trajectory.unique": "People alone, as columns become known",
    "unicity.points": "People given away by a few of their rows",
    "unicity.first": "People given away by their first rows",
    "unicity.top": "People given away by their most frequent rows",
    "definetti.success": "deFinetti: secrets guessed from classes",
    "definetti.gain": "deFinetti: beyond what the class tells",
    "definetti.excess": "deFinetti: beyond people not there",
    "minimality.posterior": "Minimality: surest secret",
    "minimality.gain": "Minimality: gained from the method's choices",
    "minimality.beyond": "Minimality: people beyond the promise",
    "downcoding.proven": "Downcoding: cells narrowed for certain",
    "downcoding.recovered": "Downcoding: cells guessed exactly",
    "downcoding.gain": "Downcoding: beyond people not there",
    "plausibility.closer_to_train": "Rows closer to the original than to others",
    "audit.excess": "Audit: proven epsilon beyond the claimed one",
    "audit.epsilon_lower": "Audit: epsilon that is proven",
    "audit.power": "Audit: a quarter of the noise is caught",
    "audit.faults": "Audit: checks of draws and charges that failed",
    "model.auc": "Model: AUC on people who did not teach it",
    "model.accuracy": "Model: people whose class it names",
    "model.calibration": "Model: error of its probabilities",
    "model.error": "Model: mean distance from the true number",
    "dp.epsilon": "Epsilon of this release",
    "dp.delta": "Delta of this release",
    "dp.replace_epsilon": "Epsilon where one is replaced by another",
    "dp.dataset_epsilon": "Epsilon of all releases together, at most",
    "dp.dataset_delta": "Delta of all releases together, at most",
    "dp.spent": "Budget of the dataset spent",
    "dp.unbounded": "Releases of the same people without differential privacy",
    "dp.insecure": "Draws of noise that are not from a cryptographic source",
}

STATUSES: Mapping[str, str] = {
    "measured": "measured",
    "proven": "follows from the method",
    "not-measured": "not measured",
    "no-power": "no power to tell",
    "error": "the measurement failed",
}

ACTIONS: Mapping[str, str] = {
    "keep": "released as it is",
    "learn": "learned, and its values made anew",
    "name": "not learned: every name in it is made",
    "drop": "dropped",
    "pseudonymize": "replaced by keyed pseudonyms",
    "mask": "partly masked",
    "generalize": "generalized",
    "round": "rounded",
    "top-bottom-code": "top and bottom coded",
    "truncate-date": "dates truncated",
    "microaggregate": "microaggregated",
    "suppress-items": "rare items suppressed",
}

#: How a hierarchy's file is read says nothing about what was done.
_DULL = ("separator", "encoding", "form", "tree", "groups", "values")
_PERCENT = ("share", "probability")
_FORMATS = dict.fromkeys(("people", "rows", "classes", "number"), ",.0f") | {
    "epsilon": ".4g",
    "delta": ".3g",
    "quantity": ",.4g",
}
NOTHING = "–"
_LEAST_SHARE = 0.0005


def is_percent(unit: str) -> bool:
    """Whether a figure belongs on an axis in per cent: shares, probabilities, and their differences."""
    return unit in _PERCENT or unit == "difference"


def title(metric: str) -> str:
    """A metric as a heading.

    >>> title("risk.unique"), title("singling_out.success_rate")
    ('People alone in their class', 'Singling out: success rate')
    """
    if metric in TITLES:
        return TITLES[metric]
    family, _, rest = metric.replace("_", " ").partition(".")
    return family.capitalize() + (f": {rest.replace('.', ', ')}" if rest else "")


def value_words(value: float | None, unit: str) -> str:
    r"""A figure as a reader wants it: shares in per cent, their differences in points, counts separated.

    >>> [value_words(0.1234, "share"), value_words(-0.05, "difference"), value_words(9820, "rows")]
    ['12.3\xa0%', '−5.0\xa0points', '9,820']
    >>> [value_words(0.8431, "auc"), value_words(None, "auc")]
    ['0.843', '–']
    >>> value_words(0.00004, "share")
    '<0.1\xa0%'
    """
    if value is None:
        return NOTHING
    if unit in _PERCENT:
        # What is hardly there is not nothing.
        few = 0 < value < _LEAST_SHARE
        words = f"{'<0.1' if few else f'{_tenths(value):.1f}'}\N{NO-BREAK SPACE}%"
    elif unit == "difference":
        words = f"{_tenths(value):.1f}\N{NO-BREAK SPACE}points"
    else:
        words = format(value, _FORMATS.get(unit, ".3f"))
    return words.replace("-", "−")


def _tenths(share: float) -> float:
    """A share in per cent to one decimal, without the sign of a rounded-off nothing."""
    return round(100 * share, 1) + 0.0


def plain_figure(value: float | None) -> str:
    """A figure of no known unit, to six digits.

    >>> plain_figure(9836.0), plain_figure(0.1214831), plain_figure(None)
    ('9,836', '0.121483', '–')
    """
    return NOTHING if value is None else f"{value:,.6g}".replace("-", "−")


def interval(finding: Finding) -> str:
    """The 95 % interval of a finding, empty where the figure is a complete count.

    >>> figure = Finding(metric="a.b", value=0.5, low=0.4, high=0.6, unit="auc", goal="high", n=9, source="a")
    >>> interval(figure)
    '0.400 to 0.600'
    """
    if finding.low is None or finding.high is None or finding.low == finding.high:
        return ""
    low, high = (value_words(end, finding.unit) for end in (finding.low, finding.high))
    return f"{low.split()[0]} to {high}"


def count_words(count: int | None) -> str:
    """A published count of people or rows.

    >>> count_words(9820), count_words(None)
    ('9,820', 'fewer than 10')
    """
    return f"fewer than {LEAST}" if count is None else f"{count:,}"


def listed(words: Sequence[str]) -> str:
    """Words in a row.

    >>> listed(["age", "town", "job"]), listed(["age"]), listed([])
    ('age, town and job', 'age', '')
    """
    *first, last = words or [""]
    return f"{', '.join(first)} and {last}" if first else last


def action_words(action: str, params: Mapping[str, Any]) -> str:
    """What was done to a column, with its parameters.

    >>> action_words("round", {"to": 5})
    'rounded (to 5)'
    """
    told = {name: value for name, value in params.items() if name not in _DULL}
    given = ", ".join(f"{name.replace('_', ' ')} {_plain(value)}" for name, value in told.items())
    return ACTIONS.get(action, action) + (f" ({given})" if given else "")


def parameter_words(asked: Mapping[str, Any]) -> str:
    """What a question under differential privacy declares, without what it is called and why it is asked.

    >>> parameter_words({"query": "mean", "of": "age", "bounds": [18, 90], "why": "asked for"})
    'of age; bounds 18 / 90'
    """
    told = {name: value for name, value in asked.items() if name not in ("query", "why")}
    return "; ".join(f"{name.replace('_', ' ')} {_plain(value)}" for name, value in told.items())


def fact_words(value: Any) -> str:
    """A figure of a synthesizer's own.

    >>> fact_words(12345), fact_words(0.25), fact_words(["age", "sex"]), fact_words(True)
    ('12,345', '0.25', 'age / sex', 'yes')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return " / ".join(_plain(inner) for inner in value)
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


#: What each method of recoding a table does, in a line.
METHODS = {
    "lattice": "full-domain generalization: one level for each column, the same for all rows",
    "partition": "local recoding: each class of people has labels of its own, the finest that cover it",
    "microaggregation": "microaggregation: each class of people has one value in every column, its mean or "
    "most frequent one",
    "cells": "local suppression: single cells are blanked, as few as it takes",
    "independent": "each column for itself, as often as among the people",
    "copula": "a Gaussian copula: each column as it is, and how columns go together by rank",
    "aim": "marginals chosen where the model was wrong, and a model fitted to them (AIM)",
    "mst": "marginals of pairs along a tree, and a model fitted to them (MST)",
    "kernel": "a generator of images that matches means of fixed features of each class",
    "cvae": "a variational autoencoder of images, told the class",
    "diffusion": "a network that draws images out of noise, told the class",
    "autoregressive": "a network that draws one column after another, given those before",
    "vae": "a variational autoencoder",
    "gan": "a generator taught by a critic (WGAN)",
    "language-model": "a language model that writes rows as text",
    "events": "a network that draws one event of a person after another, given those before",
    "ngram": "counts of which event follows which, and histories drawn from them",
}

#: What counts in a class where people have several rows.
UNITS = {
    "person": "people, each once in every class that they have a row in; nothing says which rows are one "
    "person's",
    "whole person": "people with all of their rows, for the release says which are one person's: a class has "
    "the same rows, as often, of everybody in it",
}

#: Whom a guarantee of differential privacy is about.
UNIT_WORDS = {"row": "row", "subject": "person", "image": "image", "patient": "patient"}

#: How the cost of an event was added up.
ACCOUNTINGS = {
    "pld": "by privacy loss distributions, an upper bound",
    "rdp": "by Renyi divergence, an upper bound",
    "basic": "by adding epsilons and deltas, an upper bound",
}

#: What the score of each method is.
SCORES = {
    "lattice": "by the policy's measure",
    "partition": "(normalized certainty penalty: 0 is untouched, 1 is nothing said)",
    "microaggregation": "of the spread lies within classes (SSE / SST)",
    "cells": "(share of cells blanked)",
}


def model_words(model: Mapping[str, Any]) -> str:
    """A privacy model's promise in one sentence, by the model itself."""
    from sfumato.anonymity import MODELS

    name = str(model.get("model", ""))
    params = {key: value for key, value in model.items() if key not in ("model", "others_known")}
    known = [str(name) for name in model.get("others_known", ())]
    try:
        kind = MODELS.resolve(name)
    except InputError:
        # A plan made with a part from another installation is still told, by its name.
        return action_words(name, params)
    words: str = kind(kind.Params(**params)).explain()
    return words + (f"; also to somebody who knows {' and '.join(known)} of the person" if known else "")

"""The verb: search, confirm on others, choose, say why, write it all down."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from sfumato import __version__
from sfumato.core.canonical import canonical_json
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.core.values import Plan
from sfumato.pipeline.outcome import Watch
from sfumato.pipeline.snapshot import Snapshot, told_if_changed
from sfumato.pipeline.verbs import refuse_problems
from sfumato.policy.load import LoadedPolicy
from sfumato.policy.model import Policy
from sfumato.project.keys import write_whole
from sfumato.project.project import FOLDER as PROJECT
from sfumato.tuning import chart
from sfumato.tuning.aims import Aims, aims_of
from sfumato.tuning.asked import Asked, Confirm
from sfumato.tuning.budget import Budget
from sfumato.tuning.choices import choices, chosen, differences, refuse_images
from sfumato.tuning.confirm import Confirmed, confirmed, elsewhere, measure_again, paired, pooled
from sfumato.tuning.frontier import broken, choosing, frontier, is_plain, nearest_miss, obstacles, ranked
from sfumato.tuning.measuring import DOMAIN, Bench, Figures
from sfumato.tuning.others import refuse_uncharged
from sfumato.tuning.outcome import Kept, Tuned
from sfumato.tuning.page import page
from sfumato.tuning.search import Search
from sfumato.tuning.study import FOLDER, Header, Study, Trial
from sfumato.tuning.written import plain, policy_text, tree_of

#: Gains that are so sure are as good as each other: then it counts how large they are.
_SURE = 1.0
REPORT, PAGE = "tune.json", "tune.html"


@dataclass(frozen=True)
class _Work:
    """What the steps share."""

    bench: Bench
    search: Search
    confirm: Confirm
    watch: Watch
    release_from: str | None = None

    @property
    def share(self) -> float:
        """The share of all people that the search has."""
        return self.bench.shares["search"]


@told_if_changed
def tune(
    loaded: LoadedPolicy,
    snapshot: Snapshot,
    asked: Asked,
    *,
    budget: Budget,
    tree: Any = None,
    folder: Path | None = None,
    resume: bool = False,
    watch: Watch | None = None,
) -> Tuned:
    """Search for the policies with the best of measured risk and measured use; nothing is released.

    Args:
        asked: aims, limits, and what may differ.
        budget: how many trials, or how long.
        tree: the policy as written; by default its file is read.
        folder: gets page, pictures and policies, and last the report.
        resume: go on with the search that the project keeps, of the same policy, source and aims.

    Raises:
        PolicyError: the policy does not fit its source.
        InputError: ``usage``, ``unknown-name`` and ``policy-mismatch`` for what cannot be meant,
            ``event-unsupported`` for a choice that no epsilon covers;
            ``source-changed`` for a study of something else; from reading.
    """
    watch = watch or Watch()
    refuse_images(loaded.policy)
    watch.stage("reading the source")
    _ = snapshot.columns
    watch.stage("taking the inventory")
    refuse_problems(loaded, snapshot)
    refuse_uncharged(loaded, snapshot, asked.release_from)
    aims = aims_of(loaded.policy, asked.minimize, asked.maximize, [one.limit() for one in asked.subject_to])
    every = choices(loaded, asked.vary if aims.counts_dropped else asked.vary.keeping_columns())
    if folder is not None:
        _refuse_folder(folder)
    bench = Bench(loaded, snapshot, aims, asked.confirm.share, asked.people)
    tree = plain(tree_of(loaded.path)) if tree is None else plain(tree)
    header = Header.of(
        snapshot.policy_digest,
        snapshot.digest,
        {
            "aims": aims.model_dump(mode="json"),
            "choices": [[one.name, list(one.values), one.start] for one in every],
            "share": asked.confirm.share,
            "people": asked.people,
            "key": derive(snapshot.release_key, DOMAIN, "study").hex(),
        },
        f"{__version__} with optuna {metadata.version('optuna')}",
    )
    place = snapshot.project.folder / FOLDER / f"{loaded.policy.dataset.name}.jsonl"
    study = Study.open(place, header, resume=resume)
    search = Search(bench, tree, every, study)
    trials = search.run(
        budget, asked.confirm.measurements, lambda words, done, total: watch.within(words, done, total)
    )
    confirm = asked.confirm.within(budget.affords(search.typical))
    work = _Work(bench, search, confirm, watch, asked.release_from)
    better, sure = _raced(work, trials)
    tuned = _chosen(work, better, sure)
    snapshot.refuse_changed()
    return tuned if folder is None else _written(work, tuned, folder)


def _raced(work: _Work, trials: Sequence[Trial]) -> tuple[list[Trial], dict[int, float]]:
    """The trials, those that may win with figures of more splits of the search's people.

    What looks best of many on one split is the luckiest as well, so the contenders and the given policy are
    looked at again. With them comes how sure it is that each gains on every axis that chooses: the least of
    its gains, in halves of that gain's 95 % interval. Who is worse beyond noise in any other is no surer.
    """
    aims, asked = work.bench.aims, work.confirm
    own, more = _own(trials), asked.again - 1
    chosen_by = choosing(aims, trials)
    contenders = ranked(aims, frontier(aims, trials, work.share), own, chosen_by)[: asked.contenders]
    again: dict[int, list[Figures]] = {}
    chosen_trials = {trial.number: trial for trial in (*([own] if own is not None else []), *contenders)}
    for number, trial in chosen_trials.items():
        work.watch.within("measuring the contenders again", len(again), len(chosen_trials))
        policy = _policy(work, trial)
        others = [work.bench.measure(policy, "search", split) for split in range(1, 1 + more)]
        again[number] = [replace(others[0], findings=trial.figures) if others else _alone(trial), *others]
    better = [_more(trial, again[trial.number]) if trial.number in again else trial for trial in trials]
    sure: dict[int, float] = {}
    for number, figures in again.items() if own is not None else ():
        found = {aim: _surety(paired(aim, figures, again[0])) for aim in aims.aims}
        sure[number] = min(one for aim, one in found.items() if aim in chosen_by or one <= -_SURE)
    return better, sure


def _alone(trial: Trial) -> Figures:
    """The figures of the search as they are, where contenders are not looked at again."""
    plan = Plan(dataset="", policy_digest="", inventory_digest="", rows=0, holdout_rows=0, steps=())
    return Figures(trial.figures, plan, trial.rows)


def _surety(gain: tuple[float, float] | None) -> float:
    """A gain in halves of its interval: at 1 it is beyond noise, and more is no surer."""
    if gain is None:
        return -_SURE
    value, half = gain
    return max(
        -_SURE, min(_SURE, value / half if half > 0 else math.copysign(math.inf, value) if value else 0.0)
    )


def _more(trial: Trial, again: Sequence[Figures]) -> Trial:
    """A trial with the figures of all splits."""
    every = [one.findings for one in again]
    figures = tuple(pooled(every, one.metric, one.target) for one in trial.figures)
    return trial.model_copy(update={"figures": figures, "splits": len(again)})


def _own(trials: Sequence[Trial]) -> Trial | None:
    """The given policy's trial, if it could be measured."""
    return trials[0] if trials[0].status == "measured" else None


def _chosen(work: _Work, trials: Sequence[Trial], sure: Mapping[int, float]) -> Tuned:
    """The frontier, measured again where it matters, and the best of it."""
    aims, every = work.bench.aims, work.search.every
    found = frontier(aims, trials, work.share)
    own = _own(trials)
    raced = [trial for trial in found if trial.splits == work.confirm.again]
    order = [
        trial
        for trial in ranked(aims, raced, own, choosing(aims, trials), sure)
        if is_plain(aims, trial, raced)
    ]
    again = order[: work.confirm.policies]
    confirmations, given = _confirm(work, again, own)
    best = next(
        (trial for trial in again if _wins(aims, confirmations[trial.number])),
        None,
    )
    holds = own is not None and not broken(aims, own, work.share)
    if best is None and holds and own is not None and given is not None and _stands(given):
        # Where nothing better is confirmed, the given policy is the best that is known to hold.
        best, confirmations[own.number] = own, given
        again = again if own in again else [*again, own]
        found = found if own in found else [*found, own]
    if best is not None:
        confirmations[best.number] = _with_targets(work, best, confirmations[best.number])
        given = None if given is None or own is None else _with_targets(work, own, given)
        if own is not None and best.number != own.number:
            confirmations[best.number] = _with_the_rest(work, best, own, confirmations[best.number])
    names = {trial.number: f"policy-{i}.yaml" for i, trial in enumerate(_first(again, best), 1)}
    missed = nearest_miss(aims, trials, work.share) if best is None else None
    kept = [
        Kept(
            trial=trial.number,
            differs=differences(every, trial.params),
            plain=is_plain(aims, trial, found),
            file=names.get(trial.number),
            confirmed=confirmations.get(trial.number),
        )
        for trial in found
    ]
    return Tuned(
        dataset=work.bench.loaded.policy.dataset.name,
        aims=aims,
        people=(work.bench.rows("search"), work.bench.rows("confirm")),
        splits=work.confirm.splits,
        release_from=work.release_from,
        trials=tuple(trials),
        differs=tuple(differences(every, trial.params) for trial in trials),
        frontier=tuple(kept),
        best=None if best is None else best.number,
        own=given,
        why=() if best is None else tuple(obstacles(aims, trials, best, work.share)),
        missed=None if missed is None else missed.number,
        missing=() if missed is None else tuple(_missing(work, missed, confirmations)),
        exhausted=work.search.exhausted,
    )


def _wins(aims: Aims, found: Confirmed) -> bool:
    """Whether it stands, and on the people set aside is in nothing worse than the given policy beyond noise.

    A use that is less, be it within noise, has to be made up by another one that is more beyond it. Where
    the user says what must hold, the given policy is no measure.
    """
    if aims.asked or not _stands(found):
        return _stands(found)
    gains = list(zip(aims.aims, found.gains, strict=False))
    more = any(aim.side == "use" and gain.word == "better" for aim, gain in gains)
    less = any(aim.side == "use" and gain.value is not None and gain.value < 0 for aim, gain in gains)
    return not any(gain.word == "worse" for _, gain in gains) and (more or not less)


def _stands(found: Confirmed) -> bool:
    """Whether everything holds on the people set aside."""
    return not found.broken and not found.note


def _with_targets(work: _Work, trial: Trial, found: Confirmed) -> Confirmed:
    """What else can be learned, on the people set aside."""
    work.watch.stage("learning what the search never looked at")
    others = work.bench.other_targets(_policy(work, trial), work.confirm.targets)
    return found.model_copy(update={"others": tuple(others)})


def _with_the_rest(work: _Work, trial: Trial, own: Trial, found: Confirmed) -> Confirmed:
    """What else the evidence measures of it and of the given policy: where it may be worse."""

    def figures(one: Trial) -> list[Figures] | str:
        work.watch.stage("measuring everything else on other people")
        return measure_again(work.bench, _policy(work, one), work.confirm.whole, lambda: None, whole=True)

    again, beside = figures(trial), figures(own)
    if isinstance(again, str) or isinstance(beside, str) or not again:
        return found
    return found.model_copy(update={"elsewhere": elsewhere(work.bench.aims, again, beside)})


def _policy(work: _Work, trial: Trial) -> Policy:
    data = chosen(deepcopy(work.search.tree), work.search.every, trial.params)
    return work.bench.policy(data)


def _first(among: Sequence[Trial], best: Trial | None) -> list[Trial]:
    """The best before the others."""
    return sorted(among, key=lambda trial: best is None or trial.number != best.number)


def _missing(work: _Work, missed: Trial, confirmations: dict[int, Confirmed]) -> list[str]:
    """By how much the nearest miss breaks what; or that the people set aside do not confirm it."""
    aims = work.bench.aims
    if words := broken(aims, missed, work.share):
        verdicts = [
            limit.judge(missed.figure(limit.metric, limit.target), work.share) for limit in aims.limits
        ]
        return [
            verdict.words for limit, verdict in zip(aims.limits, verdicts, strict=True) if str(limit) in words
        ]
    found = confirmations.get(missed.number)
    if found is None:
        return ["it holds in the search, and was not among those measured again"]
    return [
        f"it holds in the search, and not on the people set aside: {one}"
        for one in (*found.broken, found.note)
        if one
    ]


def _confirm(
    work: _Work, again: Sequence[Trial], own: Trial | None
) -> tuple[dict[int, Confirmed], Confirmed | None]:
    """Some trials and the given policy on the people set aside."""
    bench, splits = work.bench, work.confirm.splits
    total, done = splits * (len(again) + 1), 0

    def step() -> None:
        nonlocal done
        work.watch.within("measuring the best again on other people", done, total)
        done += 1

    def figures(trial: Trial) -> list[Figures] | str:
        return measure_again(bench, _policy(work, trial), splits, step)

    if not again and own is None:
        return {}, None
    beside: list[Figures] | str = figures(own) if own is not None else "it was not measured in the search"
    found = {}
    for trial in again:
        same = own is not None and trial.number == own.number
        measured = beside if same else figures(trial)
        found[trial.number] = confirmed(bench, trial, own, measured, beside)
    return found, None if own is None else confirmed(bench, own, own, beside, beside)


def _refuse_folder(folder: Path) -> None:
    """A folder of something else is not written into."""
    if folder.exists() and (
        not folder.is_dir() or (any(folder.iterdir()) and not (folder / REPORT).exists())
    ):
        raise InputError(
            "output-exists",
            "there is something else here",
            where=str(folder),
            remedy="name a new folder, or one of an earlier search",
        )


def _written(work: _Work, tuned: Tuned, folder: Path) -> Tuned:
    """Everything in the folder; what an earlier search left there goes."""
    tuned = tuned.model_copy(update={"folder": str(folder)})
    files = _policies(work, tuned, folder) | chart.pictures(tuned)
    files[PAGE] = page(tuned)
    files[REPORT] = canonical_json(tuned.document())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("policy-*.yaml"):
            old.unlink()
        # The report is written last: with it everything is there.
        for name, content in files.items():
            write_whole(folder / name, content, mode=0o644)
    except OSError as error:
        raise InputError(
            "output-failed",
            f"it cannot be written ({error.strerror})",
            where=str(folder),
            remedy="check the space left and who may write there",
        ) from None
    return tuned


def _policies(work: _Work, tuned: Tuned, folder: Path) -> dict[str, bytes]:
    loaded = work.bench.loaded
    tree = tree_of(loaded.path) if loaded.path.is_file() else work.search.tree
    project = os.path.relpath(work.bench.snapshot.project.folder.resolve(), folder.resolve())
    elsewhere = (
        ""
        if project == PROJECT
        else f"\nRun it with --project {project} seen from here, the project of the given policy."
    )
    return {
        kept.file: policy_text(
            tree,
            work.search.every,
            tuned.trials[kept.trial].params,
            base=loaded.folder,
            folder=folder,
            source=work.release_from,
            head=f"Found by sfumato tune: {', '.join(kept.differs) or 'the given policy'}.{elsewhere}",
        )
        for kept in tuned.frontier
        if kept.file is not None
    }

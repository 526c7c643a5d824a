"""The page of error codes: each with its sentence, its exit codes, and the messages that carry it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sfumato
from docs.words import page, table
from sfumato.core import errors
from sfumato.core.errors import CODES

SOURCE = Path(sfumato.__file__).parent
_CLASSES = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.SfumatoError)
}
_GAP = "…"


@dataclass(frozen=True)
class Raised:
    """One place in the code that makes an error: what it says where it says it in words of its own."""

    code: str
    kind: str
    what: str
    remedy: str

    @property
    def exit_code(self) -> int:
        """The exit code that the error leads to."""
        code: int = _CLASSES[self.kind].exit_code
        return code


def raised(folder: Path = SOURCE) -> list[Raised]:
    """Every error that the code makes with a code written out, in the order of files and lines."""
    return [
        found
        for path in sorted(folder.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        for found in _raised(node)
    ]


def errors_page() -> str:
    """Every code of :data:`sfumato.core.errors.CODES`."""
    by_code: dict[str, list[Raised]] = {}
    for found in raised():
        by_code.setdefault(found.code, []).append(found)
    blocks = []
    for code, sentence in CODES.items():
        made = by_code.get(code, [])
        exits = sorted({found.exit_code for found in made})
        messages = {
            found.what: found.remedy for found in sorted(made, key=lambda each: each.what) if found.what
        }
        blocks += [
            f"## {code}",
            sentence,
            f"Exit code: {', '.join(str(number) for number in exits)}.",
            table(("it says", "to do"), messages.items()) if messages else "",
        ]
    return page(
        "Errors",
        "Every error has one shape: what is wrong and where, a code in brackets, and what to do. No message "
        "holds a person's value: look at the file, column and row that it names.",
        "```text\npeople.csv: line 7 is not valid utf-8 [source-encoding]\n"
        "  to do: say encoding: latin-1 or cp1252 under dataset.source, or convert the file to UTF-8\n```",
        f"The messages below have {_GAP} where a name or a number stands. "
        "[Exit codes](cli.md#exit-codes) are on the page of the command line.",
        *blocks,
    )


def _raised(call: ast.Call) -> Iterator[Raised]:
    kind = _name(call.func)
    if kind not in _CLASSES:
        return
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    if kind == "PolicyError":
        code: ast.expr | None = keywords.get("code", ast.Constant("policy-invalid"))
        what: ast.expr | None = None
    else:
        code, what = (*call.args, None, None)[:2]
    if isinstance(code, ast.Constant) and isinstance(code.value, str):
        yield Raised(code.value, kind, _text(what), _text(keywords.get("remedy")))


def _name(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def _text(node: ast.expr | None) -> str:
    """The words of a message, with a gap for everything that is filled in; empty if there are none."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        words = "".join(_text(part) or _GAP for part in node.values)
        return words if words.strip(f"{_GAP} ") else ""
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    if isinstance(node, ast.IfExp):
        return " / ".join(filter(None, (_text(node.body), _text(node.orelse))))
    return ""

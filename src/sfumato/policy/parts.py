"""What the sections of a policy are made of."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A part of a policy: frozen, and strict about keys."""

    # The line under a field is its description in the reference pages and in editors.
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )


Text = Annotated[str, Field(min_length=1, max_length=2000)]
#: What a file can be called anywhere.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Share = Annotated[float, Field(ge=0, le=1)]


class Part(Section):
    """A named part with its parameters, as written; validated against the part's own ``Params``."""

    name: Text
    """The part's name in its registry."""
    params: dict[str, Any] = {}
    """Its parameters, as written."""

    @property
    def hierarchy(self) -> Part | None:
        """The hierarchy among its parameters, if there is one with a kind."""
        spec = self.params.get("hierarchy")
        named = isinstance(spec, dict) and isinstance(spec.get("kind"), str)
        return Part.written(spec, "kind") if named else None

    @classmethod
    def written(cls, value: Any, key: str) -> Any:
        """``{do: mask, keep: 2}`` as ``Part(name="mask", params={"keep": 2})``, given ``key="do"``."""
        if isinstance(value, str):
            return cls(name=value)
        if isinstance(value, dict) and set(value) == {"name", "params"}:
            # Its own dump, as custody keeps it.
            return cls(**value)
        if isinstance(value, dict) and isinstance(value.get(key), str):
            return cls(name=value[key], params={k: v for k, v in value.items() if k != key})
        if isinstance(value, cls):
            return value
        raise ValueError(f'a mapping with the key "{key}" is needed, or just a name')

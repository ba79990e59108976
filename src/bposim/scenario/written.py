"""What every checked document can do: its text and hash, equality, a changed copy by dotted paths."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from bposim.provenance import content_hash
from bposim.scenario.fields import Model


class Written(Model):
    """A frozen document whose content is its ``canonical`` plain values; ``replace()`` gives a changed copy."""

    @cached_property
    def canonical(self) -> dict[str, Any]:
        """Plain values in fixed order, defaults left out."""
        raise NotImplementedError

    @cached_property
    def hash(self) -> str:
        """Sixteen hex digits that name the content."""
        return content_hash(self.canonical)

    def to_yaml(self, path: str | Path | None = None) -> str:
        """Return the document as YAML text, and write it to ``path`` if given."""
        text = yaml.safe_dump(self.canonical, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def __hash__(self) -> int:
        return hash(self.hash)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and bool(self.canonical == other.canonical)

    def __setattr__(self, name: str, value: Any) -> None:
        kind = type(self).__name__
        if name in type(self).model_fields:
            raise AttributeError(f"a {kind} is frozen. Write {kind.lower()}.replace({name}=…) for a changed copy.")
        super().__setattr__(name, value)


def laid_over(data: Any, changes: Mapping[str, Any]) -> Any:
    """Return a copy of plain values with others at dotted paths; None removes a key."""
    result = copy.deepcopy(data)
    for path, value in changes.items():
        *parents, last = path.split(".")
        spot: Any = result
        for key in parents:
            if not isinstance(spot.get(key), dict):
                spot[key] = {}
            spot = spot[key]
        if value is None:
            spot.pop(last, None)
        else:
            spot[last] = value
    return result

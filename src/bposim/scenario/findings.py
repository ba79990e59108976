"""What the validator finds in a file, as sentences: what, the rule, the way out, the line."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel

from bposim.scenario.check import nearest
from bposim.scenario.document import Document, Where


def finding(error: Any, document: Document, root: type[BaseModel]) -> str:
    """Turn one finding of the validator into what, where, rule, way out; ``root`` is the model of the whole file."""
    where: Where = tuple(k for k in error["loc"] if k not in ("function-after", "function-before"))
    path = ".".join(str(k) for k in where)
    place = document.place(where)
    if error["type"] == "extra_forbidden":
        known = _known_keys(where, root)
        return f"unknown key {path!r}.{nearest(where[-1], known)} Known here: {', '.join(known)}. {place}"
    if said := _pair(error, where):
        return f"{said} {place}"
    if error["type"] == "missing":
        return f"{path} is missing. Add {str(where[-1])!r}. {place}"
    said = str(error.get("ctx", {}).get("error", "")) or error["msg"].replace("Input should be", "must be")
    value = error.get("input")
    shown = f" Got {value!r}." if error["type"] != "value_error" and not isinstance(value, dict | list) else ""
    return f"{path}: {said.rstrip('.')}.{shown} {place}".replace("\n", " ")


def _pair(error: Any, where: Where) -> str:
    """Say what a pair is where a list holds another number of values; nothing of any other finding."""
    short = error["type"] == "missing" and isinstance(where[-1], int)
    if not short and not (error["type"] == "too_long" and error["ctx"]["max_length"] == 2):
        return ""
    name, held = ".".join(str(k) for k in (where[:-1] if short else where)), list(error["input"])
    said = f"{name} must be one value, or a pair of the first and the last. Got {held!r}."
    if len(held) == 1:
        return f"{said} Write {held[0]!r} without brackets, or both ends."
    return f"{said} Write [{held[0]!r}, {held[-1]!r}]." if held else f"{said} Fill it in."


def _known_keys(where: Where, root: type[BaseModel]) -> list[str]:
    """Return the keys allowed beside an unknown one, by following the path through the models."""
    model: Any = root
    for key in where[:-1]:
        if key in model.model_fields:
            inside = _models_in(model.model_fields[str(key)].annotation)
            model = inside[0] if inside else None
        if model is None:
            return []
    return [f.alias or n for n, f in model.model_fields.items()]


def _models_in(annotation: Any) -> list[Any]:
    """Return the models that stand in a type, however deep."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for part in get_args(annotation) for m in _models_in(part)]

"""Reading YAML with the line of every value, so that a problem can be pointed at; ``extends`` resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bposim.errors import ScenarioError

Where = tuple[str | int, ...]


@dataclass
class Document:
    """Plain values of a file with the place of each.

    Attributes
    ----------
    data : dict
    lines : dict of path to (file, line)
    problems : list of str
        What was wrong with the form: duplicate keys, more than one document.
    """

    data: dict[str, Any]
    source: str
    lines: dict[Where, tuple[str, int]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    base: Path | None = None

    def place(self, where: Where) -> str:
        """Return ``(file:line)`` of a value, or of its nearest ancestor that has one."""
        for cut in range(len(where), -1, -1):
            if where[:cut] in self.lines:
                source, line = self.lines[where[:cut]]
                return f"({source}:{line})"
        return f"({self.source})"

    def folder(self, where: Where) -> Path:
        """Return the folder of the file that says a value: with ``extends`` not always that of the file read."""
        source = self.lines[where][0] if where in self.lines else self.source
        return Path(source).parent if Path(source).is_file() else self.base or Path(".")


def read_document(source: Any, *, kind: str) -> Document:
    """Read a path, YAML text or mapping into plain values.

    Parameters
    ----------
    source : str, Path or mapping
        A string with a line break or a colon-space is text, any other string a path.
    kind : str
        What it is, for messages: ``"scenario"``.

    Raises
    ------
    ScenarioError
        The file is missing, empty, no YAML, or no mapping.
    """
    if isinstance(source, Mapping):
        return _extended(Document(_plain(source), f"{kind} mapping", base=Path(".")), kind, ())
    text = str(source)
    if isinstance(source, str) and ("\n" in text or ": " in text):
        return _extended(_parse(text, f"{kind} text", Path(".")), kind, ())
    return _read_file(Path(source), kind, ())


def _read_file(path: Path, kind: str, seen: tuple[Path, ...]) -> Document:
    if not path.exists():
        near = sorted(p.name for p in path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
        hint = f" In {path.parent}: {', '.join(near)}." if near else ""
        raise ScenarioError(f"{kind} file {str(path)!r} does not exist.{hint}")
    if path.is_dir():
        raise ScenarioError(f"{kind} file {str(path)!r} is a folder. Name the YAML file in it.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScenarioError(
            f"{kind} file {str(path)!r} is not UTF-8 text (byte {error.start}). Save it as UTF-8."
        ) from None
    if path.resolve() in seen:
        chain = " -> ".join(p.name for p in (*seen, path))
        raise ScenarioError(f"{kind} file {str(path)!r} extends itself: {chain}. Remove one 'extends'.")
    document = _parse(text, str(path), path.parent)
    return _extended(document, kind, (*seen, path.resolve()))


def _extended(document: Document, kind: str, seen: tuple[Path, ...]) -> Document:
    parent_name = document.data.pop("extends", None)
    if parent_name is None:
        return document
    parent = _read_file((document.base or Path(".")) / str(parent_name), kind, seen)
    merged = _merge(parent.data, document.data)
    return Document(
        merged, document.source, parent.lines | document.lines, parent.problems + document.problems, document.base
    )


def _merge(below: Any, above: Any) -> Any:
    """Lay one mapping over another, key by key; anything that is no mapping replaces; null removes."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    # A choice such as {rate: …} or {exponential: …} is one value: another choice replaces it.
    single = len(below) == 1 and len(above) == 1 and set(below) != set(above)
    if single and all(isinstance(k, str) for k in above) and next(iter(above)) in _CHOICES:
        return above
    result = dict(below)
    for key, value in above.items():
        if value is None and key in result:
            del result[key]
        else:
            result[key] = _merge(result[key], value) if key in result else value
    return result


_CHOICES = frozenset(
    [
        "rate",
        "per_interval",
        "profile",
        "exponential",
        "gamma",
        "lognormal",
        "weibull",
        "hyperexponential",
        "uniform",
        "deterministic",
        "empirical",
        "piecewise_hazard",
        "mixture",
    ]
)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def _parse(text: str, source: str, base: Path) -> Document:
    try:
        documents = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"({source}:{mark.line + 1})" if mark else f"({source})"
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ScenarioError(f"this is no YAML: {said}. Check indentation, colons and quotes. {where}") from None
    if not documents or documents[0] is None:
        raise ScenarioError(f"the file is empty. See scenarios/ for examples. ({source})")
    document = Document({}, source, base=base)
    if len(documents) > 1:
        document.problems.append(f"the file holds {len(documents)} YAML documents; only one is read. ({source})")
    if not isinstance(documents[0], yaml.MappingNode):
        raise ScenarioError(f"the file must be a mapping of keys to values. See scenarios/ for examples. ({source}:1)")
    constructor = yaml.SafeLoader("")
    document.data = _build(documents[0], (), document, constructor)
    return document


def _build(node: yaml.Node, where: Where, document: Document, constructor: yaml.SafeLoader) -> Any:
    document.lines[where] = (document.source, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        constructor.flatten_mapping(node)
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = constructor.construct_object(key_node, deep=True)
            place = (*where, key)
            if key in result:
                line = key_node.start_mark.line + 1
                document.problems.append(
                    f"key {'.'.join(map(str, place))!r} stands twice. Keep one of them. ({document.source}:{line})"
                )
            result[key] = _build(value_node, place, document, constructor)
            document.lines[place] = (document.source, key_node.start_mark.line + 1)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*where, k), document, constructor) for k, item in enumerate(node.value)]
    try:
        return constructor.construct_object(node, deep=True)
    except (yaml.YAMLError, ValueError) as error:
        document.problems.append(f"{'.'.join(map(str, where))} cannot be read: {error}. ({document.place(where)})")
        return None

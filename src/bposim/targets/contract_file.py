"""Reading a contract: a file, YAML text or a mapping, checked whole, every problem with its line."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from bposim.errors import ScenarioError, require
from bposim.scenario.document import Document, read_document
from bposim.scenario.findings import finding
from bposim.scenario.written import laid_over
from bposim.targets.contract import Contract
from bposim.targets.contract_rules import all_problems


def load_contract(source: Any) -> Contract:
    """Read a contract and check all of it.

    Parameters
    ----------
    source : str, Path, mapping or Contract
        A file, YAML text, or the same as plain values. ``extends: other.yaml`` lays the file over another.

    Returns
    -------
    Contract

    Raises
    ------
    ScenarioError
        Anything is wrong or contradicts itself; ``.problems`` lists everything, with line numbers.

    Examples
    --------
    >>> text = '''
    ... name: one-line
    ... pricing: {fixed: 100000}
    ... clauses:
    ...   speed:
    ...     metric: service_level
    ...     within: 20s
    ...     levels: {expected: 80%}
    ...     bands: [{to: expected, credit: 2%}]
    ... '''
    >>> load_contract(text).clauses["speed"].levels.expected.value
    0.8
    """
    if isinstance(source, Contract):
        return source
    return build(read_document(source, kind="contract"))


def build(document: Document) -> Contract:
    """Make a contract of a document; rules are checked on whatever of it can be read, so that one run reports all."""
    problems = list(document.problems)
    data = document.data
    named = data.get("clauses")
    known = list(named) if isinstance(named, Mapping) else []
    for _ in range(1 + len(data) + len(known)):
        try:
            contract = Contract.model_validate(data)
        except ValidationError as error:
            first = data is document.data
            if first:
                problems += [finding(e, document, Contract) for e in error.errors()]
            data = _without(data, error.errors())
            if data is None:
                break
            continue
        contract._place = document.place
        problems += all_problems(contract, known, document.place)
        break
    require(list(dict.fromkeys(problems)), ScenarioError)
    return contract


def _without(data: Any, found: list[Any]) -> Any:
    """Return the data without unknown keys, and the clauses and keys with something wrong; None where nothing is left."""
    rest = copy.deepcopy(data)
    for owner, key in [(rest, "pricing"), *((c, "linear") for c in _bodies(rest))]:
        if isinstance(owner.get(key), Mapping):  # the validator counts the one as first of a list
            owner[key] = [owner[key]]
    clauses = rest.get("clauses")
    if not isinstance(clauses, dict):
        return None
    for error in found:
        where = error["loc"]
        if error["type"] == "extra_forbidden":
            spot = rest
            for key in where[:-1]:
                spot = spot[key]
            spot.pop(where[-1], None)
        elif len(where) > 1 and where[0] == "clauses":
            clauses.pop(where[1], None)
        elif where and where[0] != "clauses":
            rest.pop(where[0], None)
    return rest if clauses else None


def _bodies(data: Any) -> list[dict[str, Any]]:
    clauses = data.get("clauses")
    return [c for c in clauses.values() if isinstance(c, dict)] if isinstance(clauses, dict) else []


def changed(contract: Contract, changes: Mapping[str, Any]) -> Contract:
    """Return a checked copy with other values at dotted paths; None removes a key."""
    return build(Document(laid_over(contract.canonical, changes), f"contract {contract.name!r}"))

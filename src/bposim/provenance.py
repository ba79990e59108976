"""What a result was made from: version, hashes, seed and environment, enough to make it again."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

#: Packages whose version can change a number.
WATCHED = ("numpy", "scipy", "pandas", "simpy", "numba", "prophet", "pulp", "highspy")


def package_version(name: str = "bposim") -> str:
    """Return an installed package's version, ``"unknown"`` where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def content_hash(value: Any) -> str:
    """Return the first 16 hex digits of the SHA-256 of a value's canonical JSON.

    Examples
    --------
    >>> content_hash({"b": 1, "a": 2}) == content_hash({"a": 2, "b": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def array_hash(values: np.ndarray) -> str:
    """Return the first 16 hex digits of the SHA-256 of an array's kind, shape and content.

    Examples
    --------
    >>> array_hash(np.array([1, 2])) == array_hash(np.array([2, 1]))
    False
    """
    digest = hashlib.sha256(f"{values.dtype.str} {values.shape}".encode())
    digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()[:16]


def file_hash(path: str | Path) -> str:
    """Return the first 16 hex digits of the SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Provenance:
    """Where a result comes from.

    Attributes
    ----------
    step : str
        The verb that made it: ``"simulate"``, ``"calibrate"``, …
    inputs : mapping
        Hashes and arguments of what went in.
    parents : tuple of Provenance
        Of the results that went in.
    """

    step: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    parents: tuple[Provenance, ...] = ()
    version: str = field(default_factory=package_version)
    made_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def environment(self) -> dict[str, str]:
        """Versions of Python and of the packages that can change a number."""
        found = {"python": ".".join(map(str, sys.version_info[:3])), "platform": platform.system()}
        return found | {name: v for name in WATCHED if (v := package_version(name)) != "unknown"}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        return {
            "step": self.step,
            "version": self.version,
            "made_at": self.made_at,
            "inputs": json.loads(json.dumps(dict(self.inputs), default=str)),
            "environment": self.environment,
            "parents": [p.to_dict() for p in self.parents],
        }

    def __str__(self) -> str:
        given = ", ".join(f"{k}={v}" for k, v in self.inputs.items())
        return f"bposim {self.version} {self.step}({given}) at {self.made_at}"

"""bposim: which service targets can this operation promise, how surely, with how many people, at what cost?"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

#: Public names by what they do; each is imported when it is first used, so that ``import bposim`` is quick.
_TABLE: dict[str, dict[str, tuple[str, ...]]] = {
    "describe the operation": {
        "bposim.scenario": ("Scenario", "load_scenario", "Target", "ServiceLevel", "AtMost", "Turnaround"),
    },
    "read and calibrate": {
        "bposim.history": ("Guess", "History", "guess_profile", "read_history"),
        "bposim.calibrate": ("Calibration", "calibrate", "draft_scenario", "group_agents"),
    },
    "forecast": {"bposim.forecast": ("Forecast", "forecast")},
    "simulate": {
        "bposim.simulate": ("SimulationResult", "compare", "simulate"),
        "bposim.engines": ("Policies", "State", "View"),
    },
    "staff": {
        "bposim.optimise": ("Requirement", "ShiftPlan", "optimise_shifts", "optimise_staffing", "required_agents")
    },
    "promise": {
        "bposim.targets": (
            "Advice",
            "Assessment",
            "Capability",
            "Contract",
            "ContractAssessment",
            "Ledger",
            "TargetMatrix",
            "assess_contract",
            "assess_target",
            "attainable_frontier",
            "audit_curve",
            "best_response",
            "corridor_value",
            "load_contract",
            "negotiate",
            "operating_curve",
            "recommend_targets",
            "sampling_plan",
            "settle",
            "target_drivers",
            "target_matrix",
        ),
    },
    "measure and report": {
        "bposim.metrics": ("glossary",),
        "bposim.report": ("report",),
    },
    "errors": {"bposim.errors": ("BposimError", "BposimWarning")},
}

_HOME = {name: module for group in _TABLE.values() for module, names in group.items() for name in names}

__all__ = [
    "Advice", "Assessment", "AtMost", "BposimError", "BposimWarning", "Calibration", "Capability", "Contract", "ContractAssessment", "Forecast", "Guess", "History", "Ledger",
    "Policies", "Requirement", "Scenario", "ServiceLevel", "ShiftPlan", "SimulationResult", "State", "Target", "TargetMatrix", "Turnaround", "View",
    "__version__",
    "assess_contract", "assess_target", "attainable_frontier", "audit_curve", "best_response", "calibrate", "compare", "corridor_value", "draft_scenario", "forecast", "glossary", "group_agents", "guess_profile", "load_contract", "load_scenario",
    "negotiate", "operating_curve", "optimise_shifts", "optimise_staffing", "read_history", "recommend_targets", "report", "required_agents", "sampling_plan", "settle", "simulate", "target_drivers", "target_matrix",
]  # fmt: skip

assert set(__all__) == set(_HOME) | {"__version__"}


def _public_names() -> str:
    lines = []
    for title, group in _TABLE.items():
        names = ", ".join(f"``{n}``" for names in group.values() for n in names)
        lines.append(f"* {title}: {names}")
    return "\n".join(lines)


__doc__ = f"{__doc__}\n\nPublic names:\n\n{_public_names()}\n"


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from bposim.provenance import package_version

        return package_version()
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'bposim' has no attribute {name!r}. Public names: {', '.join(__all__)}.")


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """Keeps public functions in sight: ``bposim.simulate`` is the verb, although a subpackage has the same name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and name in _HOME):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

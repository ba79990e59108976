"""From the words of a scenario file to distributions; every problem of a specification is reported at once."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from bposim.distributions import _kinds, _mixtures, _tables
from bposim.distributions._base import Distribution
from bposim.errors import BposimError, ParameterError, UnitError, parameter
from bposim.units import per_second, seconds

_UNIT = "unit"
_KEYS: dict[str, dict[str, str]] = {
    "exponential": {"mean": "duration"},
    "gamma": {"mean": "duration", "cv": "number", "shape": "number", "scale": "duration"},
    "lognormal": {"mean": "duration", "cv": "number", "mu": "number", "sigma": "number"},
    "weibull": {"mean": "duration", "cv": "number", "shape": "number", "scale": "duration"},
    "hyperexponential": {"mean": "duration", "cv": "number", "probabilities": "numbers", "means": "durations"},
    "uniform": {"low": "duration", "high": "duration"},
    "deterministic": {"value": "duration"},
    "empirical": {"values": "durations", "quantiles": "durations"},
    "piecewise_hazard": {"breaks": "durations", "rates": "rates", _UNIT: "text"},
    "infinite": {},
}
_NEEDS: dict[str, tuple[str, ...]] = {
    "exponential": ("mean",), "uniform": ("low", "high"), "deterministic": ("value",),
    "piecewise_hazard": ("breaks", "rates"),
}  # fmt: skip
_MAKERS: dict[str, Callable[..., Distribution]] = {
    "exponential": _kinds.exponential, "gamma": _kinds.gamma, "lognormal": _kinds.lognormal,
    "weibull": _kinds.weibull, "hyperexponential": _mixtures.hyperexponential, "uniform": _kinds.uniform,
    "deterministic": _kinds.deterministic, "empirical": _tables.empirical,
    "piecewise_hazard": _tables.piecewise_hazard, "infinite": _kinds.infinite,
}  # fmt: skip
KINDS = (*_KEYS, "mixture")


class _Problems:
    """Collects sentences, and remembers whether all of them are about units."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.units_only = True

    def add(self, problem: str | BposimError) -> None:
        self.units_only &= isinstance(problem, UnitError)
        self.sentences.extend([problem] if isinstance(problem, str) else problem.problems)

    def settle(self) -> None:
        if self.sentences:
            raise (UnitError if self.units_only else ParameterError)(self.sentences)


def distribution(spec: Any, *, what: str = "distribution") -> Distribution:
    """Return the distribution that a scenario's words describe.

    Parameters
    ----------
    spec : Distribution, mapping or str
        ``{"lognormal": {"mean": "180s", "cv": 1.2}}``, a duration such as ``"60s"`` (constant) or ``"infinite"``. Any
        kind takes ``zero``, a mass at zero; its mean is then that of the rest, so that ``{"exponential": {"mean":
        "1000s", "zero": 0.1}}`` has mean 900 s. ``mu`` and ``sigma`` are of the logarithm of seconds.
    what : str
        What the duration is, for the messages.

    Raises
    ------
    UnitError
        Durations without a unit, and nothing else is wrong.
    ParameterError
        Anything else; ``.problems`` lists all.

    Examples
    --------
    >>> distribution({"weibull": {"shape": 2, "scale": "2min"}})
    Distribution(weibull: shape=2.0, scale=120s)
    >>> distribution("1.5min").mean
    90.0
    >>> distribution({"exponential": {"mean": 120}})
    Traceback (most recent call last):
        ...
    bposim.errors.UnitError: distribution exponential.mean=120 has no unit. Write "120s" or "2min".
    """
    problems = _Problems()
    result = _read(spec, what, problems)
    problems.settle()
    assert result is not None
    return result


def _read(spec: Any, what: str, problems: _Problems) -> Distribution | None:
    if isinstance(spec, Distribution):
        return spec
    if isinstance(spec, Mapping):
        if len(spec) == 1:
            (kind, body), *_ = spec.items()
            return _read_kind(str(kind), body, what, problems)
        got = ", ".join(repr(str(key)) for key in spec) or "nothing"
        problems.add(f"{what} must name one kind of distribution. Got {got}. Known: {', '.join(KINDS)}.")
        return None
    if isinstance(spec, str) and spec.strip().lower() in ("infinite", "never"):
        return _kinds.infinite()
    if isinstance(spec, str) and spec.strip() in _KEYS:
        problems.add(f"{what} {spec!r} needs its parameters: {{{spec}: {{{', '.join(_KEYS[spec.strip()])}}}}}.")
        return None
    try:
        return _kinds.deterministic(seconds(spec, what=what))
    except BposimError as error:
        problems.add(error)
        return None


def _read_kind(kind: str, body: Any, what: str, problems: _Problems) -> Distribution | None:
    if kind == "mixture":
        return _read_mixture(body, what, problems)
    if kind not in _KEYS:
        problems.add(f"{what} has the unknown kind {kind!r}.{_near(kind, KINDS)} Known: {', '.join(KINDS)}.")
        return None
    if kind == "infinite" and (body is None or body is True):
        body = {}
    if not isinstance(body, Mapping):
        known = ", ".join(_KEYS[kind])
        problems.add(f"{what} {kind} must be a mapping of {known}. Got {body!r} instead.")
        return None
    count = len(problems.sentences)
    keys = _KEYS[kind]
    values: dict[str, Any] = {}
    share = 0.0
    for key, value in body.items():
        label = f"{what} {kind}.{key}"
        try:
            if key == "zero":
                share = _number(value, label)
                if not 0 <= share < 1:
                    problems.add(f"{label} must be a share of at least 0 and below 1. Got {value!r} instead.")
            elif key not in keys:
                names = [*keys, "zero"]
                near = _near(str(key), names)
                problems.add(f"{what} {kind} has the unknown key {key!r}.{near} Known: {', '.join(names)}.")
            else:
                values[key] = _value(keys[key], value, label, body.get(_UNIT))
        except BposimError as error:
            problems.add(error)
    for key in _NEEDS.get(kind, ()):
        if key not in body:
            problems.add(f"{what} {kind} lacks {key!r}.")
    if len(problems.sentences) > count:
        return None
    values.pop(_UNIT, None)
    try:
        return _mixtures.with_zero(share, _MAKERS[kind](**values))
    except BposimError as error:
        for sentence in error.problems:
            problems.add(f"{what}: {sentence}")
        return None


def _value(form: str, value: Any, label: str, unit: Any) -> Any:
    if form == "duration":
        return seconds(value, what=label)
    if form == "number":
        return _number(value, label)
    if form == "text":
        return value
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise ParameterError(f"{label} must be a list. Got {value!r} instead.")
    if form == "durations":
        return _all(value, lambda item, name: seconds(item, what=name), label)
    if form == "rates":
        return _all(value, lambda item, name: _rate(item, name, unit), label)
    return _all(value, _number, label)


def _all(items: Any, read: Callable[[Any, str], float], label: str) -> list[float]:
    problems = _Problems()
    result = []
    for index, item in enumerate(items):
        try:
            result.append(read(item, f"{label}[{index}]"))
        except BposimError as error:
            problems.add(error)
    problems.settle()
    return result


def _number(value: Any, label: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ParameterError(f"{label} must be a number without a unit. Got {value!r} instead.")
    return float(value)


def _rate(value: Any, label: str, unit: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value == 0:
            return 0.0
        if unit is None:
            raise UnitError(f'{label}={value:g} has no unit. Write "{value:g}/s" or "{value * 60:g}/min".')
        return per_second(f"{value!r}/{str(unit).lstrip('/')}", what=label)
    return per_second(value, what=label)


def _near(word: str, known: Any) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _read_mixture(body: Any, what: str, problems: _Problems) -> Distribution | None:
    if not isinstance(body, list | tuple) or not body:
        problems.add(f"{what} mixture must be a list of parts, each with weight and a kind. Got {body!r} instead.")
        return None
    count = len(problems.sentences)
    weights, parts = [], []
    for index, part in enumerate(body):
        label = f"{what} mixture[{index}]"
        if not isinstance(part, Mapping) or "weight" not in part:
            problems.add(f"{label} must be a mapping with 'weight' and a kind. Got {part!r} instead.")
            continue
        try:
            weights.append(_number(part["weight"], f"{label}.weight"))
        except BposimError as error:
            problems.add(error)
        parts.append(_read({key: value for key, value in part.items() if key != "weight"}, label, problems))
    if len(problems.sentences) > count:
        return None
    try:
        return _mixtures.mixture(weights, [part for part in parts if part is not None])
    except BposimError as error:
        problems.add(f"{what}: {error}")
        return None


def day_factor(spec: Any, *, what: str = "day_factor") -> Distribution:
    """Return the law of a day's busyness: a factor of mean 1, without a unit.

    Parameters
    ----------
    spec : mapping, str or None
        ``{"gamma": {"cv": 0.1}}``, ``{"gamma": {"shape": 100}}``, ``{"lognormal": {"cv": 0.1}}``, or ``"none"`` / None
        for days that are all alike.

    Examples
    --------
    >>> factor = day_factor({"gamma": {"cv": 0.1}})
    >>> factor, factor.mean, round(factor.cv, 12)
    (Distribution(gamma: cv=0.1), 1.0, 0.1)
    >>> day_factor("none").cv
    0.0
    """
    known = "{gamma: {cv: 0.1}}, {gamma: {shape: 100}}, {lognormal: {cv: 0.1}} or none"
    if isinstance(spec, Distribution):
        if abs(spec.mean - 1) > 1e-9:
            raise ParameterError(parameter("mean", what, "1", spec.mean, f"Write {known}."))
        return spec
    if spec is None or (isinstance(spec, str) and spec.strip().lower() == "none"):
        return _kinds._Deterministic(1.0, written=(("none", 1),))
    rule = f"{what} must be {known}. Got {spec!r} instead."
    if not isinstance(spec, Mapping) or len(spec) != 1:
        raise ParameterError(rule)
    (kind, body), *_ = spec.items()
    if kind not in ("gamma", "lognormal") or not isinstance(body, Mapping) or len(body) != 1:
        raise ParameterError(rule + (_near(str(kind), ("gamma", "lognormal")) if kind != "gamma" else ""))
    (key, value), *_ = body.items()
    if key not in (("cv", "shape") if kind == "gamma" else ("cv",)):
        raise ParameterError(rule + _near(str(key), ("cv", "shape")))
    number = _number(value, f"{what} {kind}.{key}")
    if not 0 < number < float("inf"):
        raise ParameterError(f"{what} {kind}.{key} must be a finite number above 0. Got {value!r} instead.")
    if kind == "lognormal":
        law = _kinds.lognormal(mean=1.0, cv=number)
        return _kinds._LogNormal(law.mu, law.sigma, (("cv", number),))  # type: ignore[attr-defined]
    shape = number if key == "shape" else 1.0 / number**2
    return _kinds._Gamma(shape, 1.0 / shape, ((key, number),))

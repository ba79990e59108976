"""Every example runs, every public name is explained, every scenario is in the catalogue."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
import warnings
from pathlib import Path

import pytest
import yaml

import bposim as bp
from bposim import errors
from smaller import smaller

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
README = ROOT / "README.md"
SCENARIOS = sorted((ROOT / "scenarios").glob("*.yaml"))
PAGES = (
    "goals",
    "metrics",
    "time-and-ties",
    "random-streams",
    "data-contracts",
    "targets",
    "assess",
    "capability",
    "contracts",
    "command-line",
)


def module_names() -> list[str]:
    names = [p.relative_to(SOURCE).with_suffix("") for p in sorted((SOURCE / "bposim").rglob("*.py"))]
    return [".".join(n.parts[:-1] if n.name == "__init__" else n.parts) for n in names if n.name != "__main__"]


@pytest.mark.parametrize("name", module_names())
def test_doctests(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # bposim.simulate is the verb; the module of that name has to be asked for by its dotted name.
        module = importlib.import_module(name)
        assert inspect.ismodule(module)
        result = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


def test_doctests_are_there():
    found = sum(len(re.findall(r"^\s*>>> ", p.read_text(), re.M)) for p in (SOURCE / "bposim").rglob("*.py"))
    assert found >= 40


@pytest.mark.parametrize("name", module_names())
def test_every_module_says_what_it_is(name):
    module = importlib.import_module(name)
    assert module.__doc__ and len(module.__doc__.strip()) > 15


@pytest.mark.parametrize("name", [n for n in bp.__all__ if n != "__version__"])
def test_every_public_name_is_explained(name):
    thing = getattr(bp, name)
    doc = inspect.getdoc(thing)
    assert doc and len(doc) > 20
    home = thing.__module__
    assert home.startswith("bposim"), f"{name} comes from {home}"
    if inspect.isfunction(thing):
        own = [p for p in inspect.signature(thing).parameters.values() if not p.name.startswith("_")]
        positional = [p for p in own if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert len(positional) <= 3, f"{name} takes {len(positional)} positional arguments; make them keyword-only"


def test_table_of_names_is_complete_and_in_the_docstring():
    assert set(bp.__all__) == set(bp._HOME) | {"__version__"}
    assert len(bp.__all__) == len(set(bp.__all__))
    for name in bp._HOME:
        assert f"``{name}``" in bp.__doc__
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", bp.__version__)
    with pytest.raises(AttributeError, match=r"no attribute 'simulat'.*simulate"):
        bp.simulat  # noqa: B018


def test_verbs_stay_verbs_when_their_packages_are_imported():
    for name in ("simulate", "calibrate", "forecast", "report"):
        importlib.import_module(f"bposim.{name}")
        assert callable(getattr(bp, name)), f"bposim.{name} became a module"


@pytest.mark.parametrize(
    "error",
    [e for e in vars(errors).values() if inspect.isclass(e) and issubclass(e, Exception)],
    ids=lambda e: e.__name__,
)
def test_every_error_is_documented_and_carries_problems(error):
    assert error.__doc__ and error.__doc__ != error.__mro__[1].__doc__
    if issubclass(error, errors.BposimError):
        raised = error(["first.", "second."])
        assert raised.problems == ("first.", "second.")
        assert str(raised) == "first.\nsecond."
        assert error("only.").problems == ("only.",)
    else:
        assert issubclass(error, errors.BposimWarning)


@pytest.mark.parametrize("page", PAGES)
def test_design_pages_have_numbered_paragraphs(page):
    text = (ROOT / "docs" / "design" / f"{page}.md").read_text()
    assert text.startswith("# ")
    numbers = [int(n) for n in re.findall(r"^(\d+)\. ", text, re.M)]
    assert len(numbers) >= 5
    assert numbers == list(range(1, len(numbers) + 1)), "paragraphs are numbered 1, 2, 3, …"


def test_design_page_of_metrics_names_every_counting_rule():
    from bposim.schema import COUNTING_RULES

    text = (ROOT / "docs" / "design" / "metrics.md").read_text()
    assert all(f"`{rule}`" in text for rule in COUNTING_RULES)


# The catalogue of scenarios ------------------------------------------------------------------------------------------


def test_there_are_scenarios():
    assert len(SCENARIOS) >= 2


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda p: p.stem)
def test_scenario_says_purpose_source_assumptions_and_loads(path):
    head = "".join(line for line in path.read_text().splitlines(keepends=True) if line.startswith("#"))
    for word in ("Purpose:", "Source:", "Assumes:"):
        said = re.search(rf"^# {word} \S.{{10,}}", head, re.M)
        assert said, f"{path.name} has no comment '# {word} …' at its head"
    scenario = bp.load_scenario(path)
    assert len(scenario.grid) > 0
    assert str(scenario.describe()).startswith(scenario.name)


def test_catalogue_lists_every_scenario():
    text = (ROOT / "scenarios" / "README.md").read_text()
    missing = [p.name for p in SCENARIOS if p.name not in text]
    assert not missing
    for named in re.findall(r"\b([\w-]+\.yaml)\b", text):
        assert list((ROOT / "scenarios").rglob(named)), f"the catalogue lists {named}, which does not exist"


@pytest.mark.parametrize("path", sorted((ROOT / "scenarios").rglob("*/*.yaml")), ids=lambda p: p.stem)
def test_other_files_of_the_catalogue_are_yaml(path):
    assert isinstance(yaml.safe_load(path.read_text()), dict)


# README --------------------------------------------------------------------------------------------------------------


def blocks(language: str) -> list[tuple[int, str]]:
    """Return line and text of every fenced block of a language."""
    text = README.read_text()
    found = re.finditer(rf"^```{language}\n(.*?)^```", text, re.M | re.S)
    return [(text[: m.start()].count("\n") + 2, m[1]) for m in found]


def test_readme_runs_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    (tmp_path / "scenarios").symlink_to(ROOT / "scenarios")
    parts = blocks("python")
    assert parts, "the README has no ```python block"
    space: dict[str, object] = {"__name__": "__readme__"}
    for line, code in parts:
        compiled = compile("\n" * (line - 1) + smaller(code), str(README), "exec")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", category=DeprecationWarning, module=r"bposim|__readme__")
            exec(compiled, space)


def test_readme_commands_exist():
    typer_main = pytest.importorskip("typer.main")
    from bposim.cli.commands import app

    commands = set(typer_main.get_command(app).commands)
    makefile = ROOT / "Makefile"
    targets = set(re.findall(r"^([\w-]+)\s*:(?!=)", makefile.read_text(), re.M)) if makefile.exists() else set()
    shell = "\n".join(code for language in ("bash", "sh", "console") for _, code in blocks(language))
    assert shell, "the README shows no command"
    named = re.findall(r"^\s*\$?\s*(?:\.venv/bin/)?bposim\s+([a-z][\w-]*)", shell, re.M)
    made = re.findall(r"^\s*\$?\s*make\s+([\w-]+)", shell, re.M)
    assert named or made
    assert set(named) <= commands, f"bposim has no command {set(named) - commands}"
    assert set(made) <= targets, f"the Makefile has no target {set(made) - targets}"


def test_readme_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", README.read_text()):
        assert (ROOT / target).exists(), f"README.md links to {target}, which does not exist"

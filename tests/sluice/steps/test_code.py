"""The fingerprint changes with the code that a step runs, and with nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest
from tests.sluice.conftest import Declare
from tests.sluice.toy import DROPS, EVENTS, TOY

from sluice.contracts import reading
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Input, Step
from sluice.errors import DeclarationError
from sluice.records import times
from sluice.steps import code, conform
from sluice.steps.code import code_fingerprint

STEP = Step("doubled", run="steps:doubled", reads=(Input("conform"),))
MODULES: Mapping[str, str] = {
    "steps": (
        "from pipelines.coded.numbers import TWO\n"
        "from pipelines.coded import words\n"
        "import pipelines.coded.deep.well as well\n"
        "def doubled(conform):\n"
        "    from pipelines.coded import lazily\n"
    ),
    "numbers": "from pipelines.coded.deeper import ONE\nTWO = 2\n",
    "deeper": "ONE = 1\n",
    "words": "",
    "lazily": "",
    "deep/__init__": "",
    "deep/well": "from . import water\nfrom .rock import ROCK\nfrom ..outside import AIR\n",
    "deep/water": "",
    "deep/rock": "ROCK = 1\n",
    "outside": "AIR = 1\n",
    "contract": "from pipelines.coded.words import *\n",
    "producer": "import pipelines.coded.steps\n",
    "pipeline": "PIPELINE = None\n",
    "water": "",
    "rock": "",
}


@pytest.fixture
def coded() -> Pipeline:
    return replace(TOY, name="coded")


@pytest.fixture
def fingerprint_with(declare: Declare, coded: Pipeline) -> Callable[..., str]:
    """Returns the fingerprint of the step (or of another) after a line was added to some modules."""

    def fingerprint(*changed: str, step: Step | None = None) -> str:
        declare("coded", {name: source + "\n# more" * (name in changed) for name, source in MODULES.items()})
        return code_fingerprint(coded, step or STEP)

    return fingerprint


@pytest.mark.parametrize(
    "module",
    [
        "steps",
        "numbers",
        "deeper",
        "words",
        "lazily",
        "deep/well",
        "deep/water",
        "deep/rock",
        "deep/__init__",
        "outside",
        "__init__",
    ],
)
def test_fingerprint_changes_with_every_module_that_the_step_imports(
    fingerprint_with: Callable[..., str], declare: Declare, coded: Pipeline, module: str
) -> None:
    before = fingerprint_with()

    if module == "__init__":
        declare("coded", {**MODULES, "__init__": "# more"})
        assert code_fingerprint(coded, STEP) != before
    else:
        assert fingerprint_with(module) != before


@pytest.mark.parametrize("module", ["producer", "pipeline", "contract", "water", "rock"])
def test_fingerprint_does_not_change_with_other_modules(fingerprint_with: Callable[..., str], module: str) -> None:
    """``water`` and ``rock`` beside the step are not those that ``deep.well`` imports from its own folder."""
    assert fingerprint_with(module) == fingerprint_with()


@pytest.mark.parametrize(
    "step",
    [
        replace(STEP, name="tripled"),
        replace(STEP, run="steps:tripled"),
        replace(STEP, reads=(Input("conform", look_back=1),)),
        replace(STEP, reads=(Input("conform", look_ahead=1),)),
    ],
)
def test_fingerprint_changes_with_the_declaration(fingerprint_with: Callable[..., str], step: Step) -> None:
    assert fingerprint_with(step=step) != fingerprint_with()


def test_input_that_does_not_look_ahead_counts_as_it_did_before_there_were_any() -> None:
    """So an upgrade makes nothing run again."""
    assert repr(Input("conform", look_back=3)) == "Input(dataset='conform', look_back=3)"
    assert repr(Input("conform", 1, 2)) == "Input(dataset='conform', look_back=1, look_ahead=2)"


def test_fingerprint_changes_with_modules_beside_the_folder_of_the_pipeline(declare: Declare, coded: Pipeline) -> None:
    """GIVEN a module that several pipelines share, and one of another pipeline."""
    steps = "from pipelines._shared.rates import RATE\nfrom pipelines.priced import words\ndef doubled(conform): ...\n"
    declare("coded", {**MODULES, "steps": steps})
    fingerprints = set()
    for rate, word in (("1", "a"), ("2", "a"), ("2", "b")):
        declare("_shared", {"rates": f"RATE = {rate}\n", "other": f"RATE = {rate}\n"})
        declare("priced", {"words": f"WORD = {word!r}\n", "steps": f"WORD = {word!r}\n"})
        fingerprints.add(code_fingerprint(coded, STEP))
        declare("_shared", {"rates": f"RATE = {rate}\n", "other": "RATE = 9\n"})
        fingerprints.add(code_fingerprint(coded, STEP))

    assert len(fingerprints) == 3
    shared = {"pipelines._shared", "pipelines._shared.rates", "pipelines.priced", "pipelines.priced.words"}
    assert code.shared_modules(coded).keys() == shared


def test_fingerprint_changes_with_the_versions_of_declared_packages(
    declare: Declare, coded: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare("coded", MODULES)
    before = code_fingerprint(coded, STEP)
    declared = replace(STEP, packages=("pandas", "numpy"))
    assert repr(declared) == repr(STEP)
    with_versions = code_fingerprint(coded, declared)
    assert code_fingerprint(coded, replace(STEP, packages=("numpy", "pandas"))) == with_versions != before

    monkeypatch.setattr(code, "version", lambda name: "99.1" if name == "numpy" else version(name))

    assert code_fingerprint(coded, declared) != with_versions
    assert code_fingerprint(coded, replace(STEP, packages=("pandas",))) not in {before, with_versions}
    assert code_fingerprint(coded, STEP) == before


def test_package_that_is_not_installed_is_named(declare: Declare, coded: Pipeline) -> None:
    declare("coded", MODULES)

    with pytest.raises(
        DeclarationError, match="step doubled: packages has 'no-such-thing', which is not installed here"
    ):
        code_fingerprint(coded, replace(STEP, packages=("no-such-thing",)))


def test_fingerprint_does_not_depend_on_the_folder_of_the_code(
    declare: Declare, coded: Pipeline, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipelines

    declare("coded", MODULES)
    here = code_fingerprint(coded, STEP)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for name, source in {"__init__": "", **MODULES}.items():
        path = elsewhere / "coded" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    declare("coded", {})
    monkeypatch.setattr(pipelines, "__path__", [str(elsewhere)])

    assert code_fingerprint(coded, STEP) == here


def test_folder_without_init_is_followed_into_its_modules(declare: Declare, coded: Pipeline) -> None:
    sources = {
        "steps": "from pipelines.coded.loose import inner\ndef doubled(conform): ...\n",
        "loose/inner": "A = 1\n",
    }
    declare("coded", sources)
    before = code_fingerprint(coded, STEP)

    declare("coded", {**sources, "loose/inner": "A = 2\n"})

    assert code_fingerprint(coded, STEP) != before


@pytest.mark.parametrize("module", [conform, reading, times])
def test_conforming_code_of_the_library_is_part_of_a_conform_step(
    declare: Declare, coded: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, module: ModuleType
) -> None:
    declare("coded", MODULES)
    step = coded.steps[0]
    before = code_fingerprint(coded, step), code_fingerprint(coded, STEP)
    changed = tmp_path / "conform.py"
    changed.write_text(Path(str(module.__file__)).read_text() + "\n# more")
    real = code._source
    monkeypatch.setattr(code, "_source", lambda name: changed if name == module.__name__ else real(name))

    after = code_fingerprint(coded, step), code_fingerprint(coded, STEP)

    assert after[0] != before[0]
    assert after[1] == before[1]


@pytest.mark.parametrize("declared", [{"event_time_unit": "ms"}, {"event_time_zone": "Europe/Berlin"}])
def test_how_a_source_reads_times_is_part_of_its_conform_step(
    declare: Declare, coded: Pipeline, declared: dict[str, str]
) -> None:
    declare("coded", MODULES)
    other = replace(coded, sources=(replace(EVENTS, **declared), DROPS))

    assert code_fingerprint(other, other.steps[0]) != code_fingerprint(coded, coded.steps[0])
    assert code_fingerprint(other, STEP) == code_fingerprint(coded, STEP)


@pytest.mark.parametrize("run", ["nothing:run", "deep.nothing:run", "steps.nothing:run"])
def test_missing_module_is_named(declare: Declare, coded: Pipeline, run: str) -> None:
    declare("coded", MODULES)

    with pytest.raises(DeclarationError, match=r"there is no module pipelines\.coded\..*nothing"):
        code_fingerprint(coded, replace(STEP, run=run))


def test_state_counts_and_its_absence_does_not(fingerprint_with: Callable[..., str]) -> None:
    """Without a state the declaration is what it was before there were any, so an upgrade makes nothing run again."""
    by_group, by_tail = (replace(STEP, state_by=column) for column in ("group", "tail_number"))

    assert len({fingerprint_with(step=step) for step in (STEP, by_group, by_tail)}) == 3
    assert repr(STEP) == (
        "Step(name='doubled', run='steps:doubled', reads=(Input(dataset='conform', look_back=0),), output=None, "
        "most_rejected=0.01)"
    )

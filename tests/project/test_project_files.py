"""What files beside the code say agrees with the code: versions, names, commands."""

import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

import skmcdropout

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "skmcdropout"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
#: "3.10", "3.11", ... of the classifiers.
PYTHONS = [
    found[1]
    for line in PROJECT["classifiers"]
    if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line))
]
OLDEST = Version(PYTHONS[0])


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def parsed(path):
    return yaml.safe_load(read(path))


def requirements(*extras):
    """By name, of the package itself and of extras."""
    lines = PROJECT["dependencies"] + [
        line for extra in extras for line in PROJECT["optional-dependencies"][extra]
    ]
    found = map(Requirement, lines)
    return {requirement.name: requirement for requirement in found}


def jobs():
    return parsed(".github/workflows/ci.yml")["jobs"]


def commands(job):
    """What a job runs, with single spaces."""
    steps = [step["run"] for step in job["steps"] if "run" in step]
    return " ".join(" ".join(steps).split())


def test_the_oldest_python_is_the_same_everywhere():
    assert SpecifierSet(PROJECT["requires-python"]) == SpecifierSet(f">={OLDEST}")
    assert PYPROJECT["tool"]["mypy"]["python_version"] == str(OLDEST)
    target = PYPROJECT["tool"]["ruff"]["target-version"]
    assert target == f"py{OLDEST.major}{OLDEST.minor}"


def test_ci_runs_the_pythons_of_the_classifiers():
    """The workflow runs all; the script the oldest, the newest and one between."""
    assert jobs()["suite"]["strategy"]["matrix"]["python"] == PYTHONS
    script = read(".ci/run")
    found = {
        name: re.search(rf"^{name}=(\S+)", script, re.MULTILINE)[1]
        for name in ("OLDEST", "BETWEEN", "NEWEST")
    }
    assert found["OLDEST"] == PYTHONS[0]
    assert found["BETWEEN"] in PYTHONS[1:-1]
    assert found["NEWEST"] == PYTHONS[-1]


def test_every_job_runs_on_a_python_of_the_classifiers():
    pythons = {
        step["with"]["python-version"]
        for job in jobs().values()
        for step in job["steps"]
        if step.get("uses", "").startswith("actions/setup-python@")
    }
    pythons.discard("${{ matrix.python }}")
    pythons.add(parsed(".readthedocs.yaml")["build"]["tools"]["python"])
    assert pythons <= set(PYTHONS)


def lower_bound(requirement):
    (bound,) = [part for part in requirement.specifier if part.operator == ">="]
    return bound


def test_lowest_versions_are_the_lower_bounds():
    pinned = {}
    for line in read(".ci/lowest.txt").splitlines():
        if line and not line.startswith("#"):
            name, _, version = line.partition("==")
            pinned[name] = Version(version)
    assert set(pinned) == set(requirements())
    for name, requirement in requirements().items():
        bound = lower_bound(requirement)
        assert requirement.specifier.contains(pinned[name])
        # a repair of the lowest minor version may be the oldest that works
        assert pinned[name].release[:2] == Version(bound.version).release[:2]


def test_the_readme_and_the_docs_name_the_lowest_versions():
    bounds = requirements()
    scikit_learn, keras, tensorflow = (
        lower_bound(bounds[name]) for name in ("scikit-learn", "keras", "tensorflow")
    )
    expected = (
        f"Python {OLDEST}, scikit-learn {scikit_learn.version}, "
        f"Keras {keras.version} and TensorFlow {tensorflow.version} are the oldest"
    )
    assert expected in " ".join(read("docs/index.rst").split())
    assert f"With Python {OLDEST} or newer" in read("README.md")
    assert f"With Python {OLDEST} or newer" in read("CONTRIBUTING.md")


def test_hooks_pin_versions_that_the_project_allows():
    wanted, pinned = requirements("test", "plot"), {}
    for repository in parsed(".pre-commit-config.yaml")["repos"]:
        for hook in repository["hooks"]:
            for requirement in map(Requirement, hook["additional_dependencies"]):
                specifier = wanted[requirement.name].specifier
                if requirement.specifier != specifier:
                    (pin,) = requirement.specifier
                    assert pin.operator == "=="
                    assert specifier.contains(pin.version)
                    pinned.setdefault(requirement.name, set()).add(pin.version)
    counts = {name: len(versions) for name, versions in pinned.items()}
    assert counts == {"ruff": 1, "mypy": 1, "numpy": 1}


def test_the_citation_is_of_this_version():
    citation = parsed("CITATION.cff")
    assert str(citation["version"]) == skmcdropout.__version__
    assert citation["license"] == PROJECT["license"]["text"]
    assert citation["repository-code"] == PROJECT["urls"]["Source"]
    assert [author["name"] for author in citation["authors"]] == [
        author["name"] for author in PROJECT["authors"]
    ]


def test_the_changelog_begins_with_this_version():
    first = re.search(r"^## (\S+)", read("CHANGELOG.md"), re.MULTILINE)
    assert first[1] == skmcdropout.__version__


def test_read_the_docs_builds_what_there_is_and_fails_on_warnings():
    settings = parsed(".readthedocs.yaml")
    assert (ROOT / settings["sphinx"]["configuration"]).is_file()
    assert settings["sphinx"]["fail_on_warning"] is True
    (install,) = settings["python"]["install"]
    assert set(install["extra_requirements"]) <= set(PROJECT["optional-dependencies"])


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github").rglob("*.*")), ids=lambda path: path.name
)
def test_forms_and_workflows_parse(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".yml":
        assert yaml.safe_load(text)["jobs"]
    elif path.parent.name == "ISSUE_TEMPLATE":
        _, head, body = text.split("---\n", 2)
        assert {"name", "about"} <= set(yaml.safe_load(head))
        assert body.strip()


@pytest.mark.parametrize("name", ["ci.yml", "run"])
def test_ci_names_files_and_extras_that_there_are(name):
    text = read(".ci/run")
    if name == "ci.yml":
        text = " ".join(map(commands, jobs().values()))
    files = set(re.findall(r"(?:tests|\.ci)/(?:\w+/)*\w+\.\w+", text))
    assert len(files) > 4
    assert [file for file in sorted(files) if not (ROOT / file).is_file()] == []
    extras = ",".join(re.findall(r"\"\.\[([\w,]+)\]\"", text)).split(",")
    assert set(extras) <= set(PROJECT["optional-dependencies"])


def test_both_kinds_of_ci_run_the_same_checks():
    in_jobs = " ".join(map(commands, jobs().values()))
    in_script = " ".join(read(".ci/run").replace("\\\n", " ").split())
    for command in (
        "ruff check .",
        "ruff format --check .",
        "mypy",
        "pytest -n 2 --dist worksteal --cov",
        'pytest -m "not slow" -n 2 --dist worksteal',
        "pytest -m slow -n 2 --dist worksteal tests/perceptron/test_keras_agreement.py",
        "pytest -n 2 tests/world/test_ecosystem.py "
        "tests/estimators/test_persistence.py",
        "sphinx-build -W --keep-going -q docs",
        "python .ci/check_gallery.py",
        "twine check --strict",
        "python .ci/check_wheel.py",
        "python .ci/old_to_new.py save",
    ):
        assert command in in_jobs
        assert command in in_script


def test_the_readme_gives_two_commands_that_are_whole_lines():
    """One shows what it does, one runs the fast lane."""
    lines = read("README.md").splitlines()
    commands_given = [line for line in lines if line.startswith("pip install")]
    assert commands_given[:2] == [
        'pip install ".[plot]" && python examples/quickstart.py',
        'pip install -e ".[test]" && pytest -m "not slow" -n 2 --dist worksteal',
    ]


def test_the_drawing_of_the_folders_names_every_module():
    page = read("docs/guide/architecture.rst")
    drawing = page.partition("skmcdropout/\n")[2].partition("\nThe rule of arrows")[0]
    named, folder = set(), ""
    for line in drawing.splitlines():
        entry, _, rest = line.strip().lstrip("│├└─ ").partition(" ")
        if entry.endswith("/"):
            folder = entry
        elif entry.endswith(".py"):
            named.add(entry)
        else:
            modules = re.sub(r"\(.*?\)", "", f"{entry} {rest}").split()
            named.update(f"{folder}{module}.py" for module in modules)
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py"
    }
    assert named == found


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/guide/architecture.rst"])
def test_pages_for_developers_name_files_that_there_are(page):
    named = re.findall(r"`((?:\w+/)*\w+\.(?:py|rst))`", read(page))
    assert len(named) > 4
    folders = ROOT, PACKAGE
    missing = [n for n in named if not any((f / n).is_file() for f in folders)]
    assert missing == []

"""Makes small faults in the package on purpose, and says which ones the tests notice.

``python .ci/mutants.py --area metrics --n 20`` changes one operator, number, bound, ...
of the package at a time, in a copy of the checkout, and runs the tests that execute
what was changed. A mutant, a package with one such fault, that no test notices has
survived: either no test checks what the code is for, or no user could see the fault.

Which tests execute a line is read from a map: pytest-cov's data and JUnit's XML beside
it, made by a run of the whole suite if ``--map`` is not there yet. Code that runs in
other processes is not in it. Where a shared fixture executes the line, all tests that
use it count, after those that execute it themselves. A test that notices a fault must
pass without it. It needs ``os.fork``, so not Windows.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import coverage
import pytest
from faults import AREAS, PACKAGE, Fault, chosen

#: Imported once, before the tests of all mutants are forked off: TensorFlow alone
#: takes seconds. Neither the package, nor what has threads, which a fork would lose.
PRELOADED = """hypothesis scipy.stats sklearn.model_selection pandas matplotlib.pyplot
    tensorflow keras scikeras.wrappers"""


class Watch:
    """A plugin of pytest: runs given tests alone, in order, and notes what happens.

    Given no tests it notes what tests there are.
    """

    def __init__(self, folder: Path, tests: list[str], notes: Path):
        self.folder, self.notes = folder, notes
        self.position = {test: i for i, test in enumerate(tests)}
        self.noted: dict[str, Any] = {}

    def note(self, **noted: Any) -> None:
        """Keep it in a file: the process may not live to say it."""
        self.noted |= noted
        self.notes.write_text(json.dumps(self.noted))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Check that the copy is tested, and choose."""
        used = Path(sys.modules[PACKAGE].__file__ or "").resolve()
        if not used.is_relative_to(self.folder):
            self.note(broken=f"tests imported {used}, not what is in {self.folder}")
            os._exit(1)
        if not self.position:
            tests = {item.nodeid: described(item) for item in items}
            (self.notes.parent / "tests.json").write_text(json.dumps(tests))
        items[:] = [item for item in items if item.nodeid in self.position]
        items.sort(key=lambda item: self.position[item.nodeid])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Which test runs, should it be the last."""
        self.note(running=nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Which test fails first, and why."""
        if report.failed and "failed" not in self.noted:
            crash = getattr(report.longrepr, "reprcrash", None)
            message = crash.message[:300] if crash else report.longreprtext[-300:]
            self.note(failed=report.nodeid, message=message)


def described(item: Any) -> dict[str, Any]:
    """Whether a test is slow, and the fixtures that it shares with other tests."""
    info = getattr(item, "_fixtureinfo", None)
    fixtures = [found[-1] for found in info.name2fixturedefs.values()] if info else []
    return {
        "slow": item.get_closest_marker("slow") is not None,
        "shared": [
            f"{fixture.baseid}::{fixture.argname}"
            for fixture in fixtures
            if fixture.baseid and fixture.scope != "function"
        ],
    }


class Copy:
    """A copy of the checkout, where tests run in one forked process after the other."""

    def __init__(self, place: Path, root: Path, tests: Path):
        self.place, self.folder = place, place / "copy"
        names = (".git", ".*cache", "__pycache__", ".hypothesis", ".venv*", "build")
        left_out = shutil.ignore_patterns(*names)
        shutil.copytree(tests, self.folder, ignore=left_out)
        shutil.rmtree(self.folder / PACKAGE)
        shutil.copytree(root / PACKAGE, self.folder / PACKAGE, ignore=left_out)
        self.times = itertools.count(1_000_000_000)
        self.is_sound: dict[str, bool] = {}  # tests that pass without a fault

    def write(self, path: Path, source: bytes) -> None:
        """Write a source with a time of its own, or old bytecode might be used."""
        path.write_bytes(source)
        now = next(self.times)
        os.utime(path, (now, now))

    def run(self, fault: Fault | None, tests: list[str], limit: float) -> Any:
        """Run tests for `limit` seconds at most; collect all where none are given."""
        if fault is None:
            return self._run(tests, limit)
        path = self.folder / fault.file
        source = path.read_bytes()
        self.write(path, fault.applied(source))
        try:
            return self._run(tests, limit)
        finally:
            self.write(path, source)

    def _run(self, tests: list[str], limit: float) -> dict[str, Any]:
        notes, log = self.place / "notes.json", self.place / "log.txt"
        notes.unlink(missing_ok=True)
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setsid()
                signal.signal(signal.SIGINT, signal.default_int_handler)
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                to = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(to, 1), os.dup2(to, 2), os.dup2(os.open(os.devnull, 0), 0)
                code = self._pytest(tests, notes)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        done, status, end = 0, 0, time.monotonic() + limit
        try:
            while not done and time.monotonic() < end:
                time.sleep(0.02)
                done, status = os.waitpid(child, os.WNOHANG)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)  # with all processes of its own
            if not done:
                os.waitpid(child, 0)
        noted = json.loads(notes.read_text()) if notes.exists() else {}
        if "broken" in noted:
            raise RuntimeError(noted["broken"])
        is_killed = not done or status != 0
        reason = "test" if "failed" in noted else "error" if done else "timeout"
        return {
            "verdict": "killed" if is_killed else "survived",
            "reason": reason if is_killed else "",
            "by": noted.get("failed", noted.get("running", "")) if is_killed else "",
            "message": noted.get("message", log.read_text(errors="replace")[-300:]),
        }

    def _pytest(self, tests: list[str], notes: Path) -> int:
        os.chdir(self.folder)
        sys.path[0] = str(self.folder)  # was this script's folder
        os.environ["PYTHONPATH"] = str(self.folder)
        options = ["-x", "-q", "-n0", "-p", "no:cacheprovider", "-p", "no:randomly"]
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of preloaded
        options += [f"--rootdir={self.folder}", f"--basetemp={self.place}/tmp"]
        files = dict.fromkeys(test.split("::")[0] for test in tests)
        watch = Watch(self.folder, tests, notes)
        return int(pytest.main([*options, *files], plugins=[watch]))


class Suite:
    """The tests, the lines that each executes, and the seconds that it takes."""

    def __init__(self, tests: dict[str, Any], data: Path, files: set[str]):
        self.tests = tests
        self.position = {test: i for i, test in enumerate(tests)}
        self.users = defaultdict(set)
        for test, is_ in tests.items():
            for fixture in is_["shared"]:
                self.users[fixture].add(test)
        cases = ElementTree.parse(data.with_suffix(".xml")).iter("testcase")
        taken = {(c.get("classname"), c.get("name")): c.get("time") for c in cases}
        self.seconds = {test: float(taken.get(in_xml(test)) or 1) for test in tests}
        executed = coverage.CoverageData(str(data))
        executed.read()
        self.contexts: dict[str, dict[int, list[str]]] = defaultdict(dict)
        for path in executed.measured_files():
            file = PACKAGE + path.rpartition(f"/{PACKAGE}")[2]
            if file in files:
                self.contexts[file] = executed.contexts_by_lineno(path)
        #: By file, how many lines are a test's, shared out among all that execute them.
        self.focus: dict[str, Counter[str]] = defaultdict(Counter)
        for file, lines in self.contexts.items():
            for contexts in lines.values():
                tests_of_line = {context.rpartition("|")[0] for context in contexts}
                for test in tests_of_line:
                    self.focus[file][test] += 1 / len(tests_of_line)
        gone = set().union(*self.focus.values()) - {"", *tests}
        if gone:
            print(f"{len(gone)} tests of the map are not there: {min(gone)}, ...")

    def of(self, fault: Fault) -> list[str]:
        """All tests that could notice a fault, those to be tried first in front."""
        lines = self.contexts[fault.file]
        first, last = fault.reach
        contexts = {c for i in range(first, last + 1) for c in lines.get(i, [])}
        if contexts == {""}:  # called at import alone
            contexts = set(itertools.chain.from_iterable(lines.values()))
        direct, users = set(), set()
        for context in contexts:
            test, _, phase = context.rpartition("|")
            if test in self.tests:
                direct.add(test)
                for fixture in self.tests[test]["shared"] if phase == "setup" else []:
                    users |= self.users[fixture]

        def cost(test: str) -> Any:
            focus = self.focus[fault.file][test] or 1
            return test not in direct, self.is_slow(test), self.seconds[test] / focus

        return sorted(sorted(direct | users, key=self.position.get), key=cost)

    def within(self, tests: list[str], budget: float) -> list[str]:
        """The first tests, for so many seconds, in an order that suits fixtures."""
        sums = itertools.accumulate(self.seconds[test] for test in tests)
        within = tests[: max(1, sum(seconds <= budget for seconds in sums))]
        of_file: Counter[str] = Counter()
        for test in within:
            of_file[test.split("::")[0]] += self.seconds[test]

        def turn(test: str) -> Any:
            seconds = of_file[test.split("::")[0]]
            return self.is_slow(test), seconds, self.position[test]

        return sorted(within, key=turn)

    def is_slow(self, test: str) -> bool:
        """Whether a test, if it is one, is left out of the fast lane."""
        return test in self.tests and self.tests[test]["slow"]


def in_xml(test: str) -> tuple[str, str]:
    """What JUnit's XML names a test: its class and its name."""
    name, bracket, parameters = test.partition("[")
    file, *names = name.split("::")
    path = file.removesuffix(".py").replace("/", ".")
    return ".".join([path, *names[:-1]]), names[-1] + bracket + parameters


def make_map(folder: Path, data: Path, jobs: int) -> None:
    """Run the whole suite once, and keep which test executes which line."""
    print(f"running the whole suite once, for {data}", flush=True)
    data.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "--cov"]
    command += ["--cov-context=test", "--cov-report=", f"-n{jobs}", "--dist=loadfile"]
    command += [f"--junitxml={data.with_suffix('.xml')}"]
    new = {"COVERAGE_FILE": str(data), "PYTHONPATH": str(folder)}
    subprocess.run(command, cwd=folder, env=os.environ | new, check=False)


def judged(fault: Fault, suite: Suite, copy: Copy, budget: float) -> dict[str, Any]:
    """What becomes of a mutant, by which test and in which lane."""
    began = time.monotonic()
    is_sound = copy.is_sound
    while True:
        possible = [test for test in suite.of(fault) if is_sound.get(test, True)]
        tests = suite.within(possible, budget)
        result = {"verdict": "survived", "reason": "no test", "by": ""}
        if tests:
            limit = 60 + 3 * sum(suite.seconds[test] for test in tests)
            result = copy.run(fault, tests, limit)
        by = result["by"]
        if by and by not in is_sound and result["reason"] != "timeout":
            is_sound[by] = copy.run(None, [by], limit)["verdict"] == "survived"
        if is_sound.get(by, True):
            break
        print(f"left out, for it fails without a fault: {by}", flush=True)
    return result | {
        "lane": "slow" if suite.is_slow(by) else "fast",
        "n_tests": len(tests),
        "n_left_out": len(possible) - len(tests),
        "seconds": round(time.monotonic() - began, 1),
    }


def show(faults: list[tuple[str, Fault]], records: dict[str, Any], root: Path) -> None:
    """The survivors with their diffs, and a table of the areas."""
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for area, fault in faults:
        if fault.name not in records:
            continue
        record = records[fault.name]
        verdict, reason = record["verdict"], record["reason"]
        for row in (area, "all"):
            table[row].update(["made", verdict, reason, f"{verdict} {record['lane']}"])
        if verdict == "survived":
            tests = f"{record['n_tests']} tests, {record['n_left_out']} left out"
            print(f"\n{fault.file}:{fault.line} ({area}, {fault.kind}): {tests}")
            print(diff(fault, root))
    shown = ("made", "killed", "killed fast", "timeout", "survived", "no test")
    row = "{:16}" + "{:>13}" * len(shown)
    print("\n" + row.format("area", *shown))
    for area in sorted(table, key=lambda area: area == "all"):
        print(row.format(area, *(table[area][name] for name in shown)))


def diff(fault: Fault, root: Path) -> str:
    """The lines of a fault before and after."""
    source = (root / fault.file).read_bytes()
    old, new = source.decode(), fault.applied(source).decode()
    changed = difflib.unified_diff(old.splitlines(), new.splitlines(), n=0, lineterm="")
    return "\n".join(f"    {line}" for line in list(changed)[3:])


def read_records(path: Path) -> dict[str, Any]:
    """Records of a file, one a line, by the names of their mutants."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {record["name"]: record for record in map(json.loads, lines)}


def work(
    todo: list[tuple[str, Fault]],
    suite: Suite,
    copy: Copy,
    budget: float,
    taken: Path,
    out: Path,
) -> None:
    """Judge mutants that no other worker has taken, each a line of `out`; end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # main() sends SIGTERM
    try:
        for i, (area, fault) in enumerate(todo):
            if not is_first(taken / str(i)):
                continue
            result = judged(fault, suite, copy, budget)
            record = {"name": fault.name, "area": area, "kind": fault.kind, **result}
            with out.open("a") as lines:
                lines.write(json.dumps(record) + "\n")
            how = " ".join(str(result[key]) for key in ("verdict", "reason", "by"))
            took = f"{i + 1}/{len(todo)}, {result['seconds']} s"
            print(f"{took}: {fault.name}: {how}", flush=True)
    except KeyboardInterrupt:
        pass
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def is_first(path: Path) -> bool:
    """Whether no other process has made this file."""
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def main() -> None:
    """Make mutants, run tests on them, and say which ones have survived."""
    here = Path(__file__).resolve().parents[1]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--area", action="append", choices=AREAS, help="default: all of them")
    add("--n", type=int, default=150, help="number of mutants")
    add("--seed", type=int, default=0)
    add("--tests", type=Path, default=here, help="checkout whose tests are run")
    add("--map", type=Path, help="map of tests; default: build/mutants.coverage there")
    add("--jobs", type=int, default=2)
    add("--budget", type=float, default=60, help="seconds of tests for a mutant")
    add("--out", type=Path, help="keeps results, a line of JSON each, to go on from")
    add("--only", type=Path, help="results whose survivors alone are tried")
    add("--list", action="store_true", help="shows the mutants, and runs nothing")
    args = parser.parse_args()

    survivors = None
    if args.only is not None:
        earlier = read_records(args.only).items()
        survivors = {name for name, r in earlier if r["verdict"] == "survived"}
    n = args.n if survivors is None else 10**6
    faults = [
        (area, fault)
        for area, fault in chosen(here, args.area or list(AREAS), n, args.seed)
        if survivors is None or fault.name in survivors
    ]
    if args.list:
        for area, fault in faults:
            print(f"{fault.file}:{fault.line} ({area}, {fault.kind})")
            print(diff(fault, here))
        return

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("MPLBACKEND", "Agg")
    os.environ.pop("PYTEST_ADDOPTS", None)
    with tempfile.TemporaryDirectory(prefix="mutants-") as temporary:
        place = Path(temporary).resolve()
        out = args.out or place / "out.jsonl"
        done = read_records(out)
        todo = [(area, fault) for area, fault in faults if fault.name not in done]
        copies = [Copy(place / str(i), here, args.tests) for i in range(args.jobs)]
        data = (args.map or args.tests / "build/mutants.coverage").resolve()
        if not data.exists():
            make_map(copies[0].folder, data, args.jobs)
        files = {fault.file for _, fault in faults}
        times = [(here / file).stat().st_mtime for file in files]
        if max(times, default=0) > data.stat().st_mtime:
            print(f"sources are newer than {data}: its lines may be wrong")
        for module in PRELOADED.split():
            importlib.import_module(module)
        found = copies[0].run(None, [], limit=600)
        tests = copies[0].place / "tests.json"
        if not tests.exists():
            raise SystemExit(f"no tests were collected: {found['message']}")
        suite = Suite(json.loads(tests.read_text()), data, files)
        (place / "taken").mkdir()
        workers = set()
        for copy in copies:
            sys.stdout.flush()
            worker = os.fork()
            if worker == 0:
                work(todo, suite, copy, args.budget, place / "taken", out)
            workers.add(worker)
        try:
            while workers:
                workers.remove(os.wait()[0])
        except KeyboardInterrupt:
            for worker in workers:
                os.kill(worker, signal.SIGTERM)
            for worker in workers:
                os.waitpid(worker, 0)
        show(faults, read_records(out), here)


if __name__ == "__main__":
    main()

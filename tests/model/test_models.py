"""The Promela models of the queue: each holds in every state it has, and fails when what it stands on is left out.

A model's head lists its broken variants (-DBROKEN_...). A step marked REACH must be reached, so that no property holds
because nothing happens.
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent

# Model and defines: the searches that must find no error.
GOOD = [("lease", ()), ("fencing", ()), ("handover", ()), ("limit", ()), ("signal", ()), ("takeover", ()), ("wakeup", ()),
        ("wakeup", ("-DPOLLING",))]

MEMORY_MB = 480
DEPTH = 200000
VARIANT = re.compile(r"^ \*   (-D\w+(?: -D\w+)*)", re.M)


def source(model):
    return (HERE / f"{model}.pml").read_text()


def variants(model):
    """Tuples of defines, from the model's head."""
    head = source(model).split("*/")[0]
    return [tuple(match.split()) for match in VARIANT.findall(head)]


BROKEN = [(model, defines) for model in dict(GOOD) for defines in variants(model)]


def name(case):
    model, defines = case
    return "-".join([model, *(define.removeprefix("-D") for define in defines)])


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="errand-model-") as path:
        yield Path(path)


def run(folder, *command):
    return subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=300)


def search(folder, text, defines, depth=DEPTH, quick=False):
    """What pan says after an exhaustive search. quick: one that ends soon, so that compiling takes longer."""
    assert shutil.which("spin"), "spin is not installed: apt-get install spin"
    (folder / "model.pml").write_text(text)
    # -o3: statements are not merged, so that each is seen to be reached or not.
    spin = run(folder, "spin", "-o3", *defines, "-a", "model.pml")
    assert spin.returncode == 0 and "rror" not in spin.stdout, spin.stdout
    polling = "-DPOLLING" in defines  # a property of infinite runs; weak fairness: each process goes on
    gcc = run(folder, "gcc", "-O0" if quick else "-O2", "-w", f"-DMEMLIM={MEMORY_MB}", "-DNFAIR=3" if polling else "-DSAFETY", "-o", "pan", "pan.c")
    assert gcc.returncode == 0, gcc.stdout
    return run(folder, "./pan", f"-m{depth}", "-w22", *(("-a", "-f") if polling else ())).stdout


def errors(said):
    """Number of errors found; fails when there was no complete search and no error."""
    found = re.search(r"errors: (\d+)", said)
    assert found, said
    if found.group(1) == "0":
        for sign in ("max search depth too small", "Search not completed", "out of memory", "memory limit"):
            assert sign not in said, f"the search was cut short:\n{said}"
    return int(found.group(1))


def unreached_marks(text, said):
    """Lines marked REACH of which a statement was never executed."""
    marked = {number for number, line in enumerate(text.splitlines(), 1) if re.search(r"\bREACH\b", line)}
    unreached = {int(line) for line in re.findall(r"model\.pml:(\d+), state \d+,", said)}
    return sorted(marked & unreached)


@pytest.mark.parametrize("case", GOOD, ids=name)
def test_holds(folder, case):
    model, defines = case
    text = source(model)
    said = search(folder, text, defines)
    assert errors(said) == 0, said
    if not defines:
        assert "REACH" in text
        assert not unreached_marks(text, said), f"never happens, so the properties say little:\n{said}"


@pytest.mark.parametrize("case", BROKEN, ids=name)
def test_broken_fails(folder, case):
    model, defines = case
    said = search(folder, source(model), defines, quick=True)
    assert errors(said) > 0, f"{' '.join(defines)} breaks nothing:\n{said}"
    assert "assertion violated" in said or "acceptance cycle" in said, said


@pytest.mark.parametrize("model", list(dict(GOOD)))
def test_variants_are_listed(model):
    text = source(model)
    used = set(re.findall(r"\b(?:ifn?def |defined\()(\w+)", text))
    listed = {define.removeprefix("-D") for defines in variants(model) for define in defines}
    assert used - {"POLLING"} == listed - {"POLLING"}
    assert listed


def test_every_model_is_searched():
    assert {path.stem for path in HERE.glob("*.pml")} == set(dict(GOOD))


# ---- The rules above find what they are for ----

SMALL = """
byte n;
active proctype counter()
{
    do
    :: n < 50 -> n++
    :: n == 50 -> break
    :: n > 50 -> n = 0; break /* REACH */
    od;
    n = 100 /* REACH */
}
"""


def test_unreached_mark_is_found(folder):
    said = search(folder, SMALL, (), quick=True)
    assert errors(said) == 0
    assert unreached_marks(SMALL, said) == [8]


def test_truncated_search_is_found(folder):
    said = search(folder, SMALL, (), depth=20, quick=True)
    with pytest.raises(AssertionError, match="cut short"):
        errors(said)

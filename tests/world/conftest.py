import multiprocessing
import os
import shutil
import subprocess
from concurrent.futures import ProcessPoolExecutor

import pytest
import survival

#: New processes are forked from one that has imported these, and done nothing with
#: them: the import takes most of the time that a new process needs.
PRELOADED = ["skmcdropout", "skmcdropout.layers", "keras", "tensorflow"]


@pytest.fixture(scope="session")
def in_new_process():
    """Calls a function in a new process, in which nothing was fitted or predicted."""
    methods = multiprocessing.get_all_start_methods()
    method = "forkserver" if "forkserver" in methods else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(PRELOADED)

    def call(function, *args):
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            return pool.submit(function, *args).result()

    return call


@pytest.fixture(scope="session")
def expected(in_new_process):
    """Draws of a fit of each kind in a new process."""
    return in_new_process(survival.draws_of_new_fits)


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of its own that holds a few kilobytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only the superuser may mount a small disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k,nr_inodes=64", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this system lets nobody mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)

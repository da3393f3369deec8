"""Files are written completely or not at all."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest

import recsk
from tests.storage.models import assert_identical, fitted


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "disk full"), KeyboardInterrupt()])
def test_an_interrupted_save_leaves_the_old_file(step, error, path, monkeypatch):
    recsk.save(fitted("MDE"), path)
    before = path.read_bytes()

    def interrupt(*args):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, step, interrupt)
        with pytest.raises(type(error)):
            recsk.save(fitted("MDSRec"), path)
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]
    recsk.save(fitted("MDSRec"), path)
    assert_identical(recsk.load(path), fitted("MDSRec"))


@pytest.mark.skipif(os.name != "posix", reason="links and modes of POSIX")
def test_saving_keeps_links_and_file_modes(tmp_path, path):
    recsk.save(fitted("MDE"), path)
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    path.chmod(0o600)
    link = tmp_path / "latest"
    link.symlink_to(path.name)
    recsk.save(fitted("MDSRec"), link)
    assert link.is_symlink() and path.stat().st_mode & 0o777 == 0o600
    assert_identical(recsk.load(path), fitted("MDSRec"))


CHILD = """
import resource, signal, sys
import recsk

path = sys.argv[1]
model = recsk.load(path)  # the first call imports modules late
events = []
sys.addaudithook(lambda event, arguments: events.append(event))
recsk.load(path)
print(*sorted(set(events)), flush=True)
# From here on a write beyond 5000 bytes kills the process.
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
recsk.save(model, path)
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_load_runs_no_code_and_a_killed_save_leaves_the_old_file(path):
    recsk.save(fitted("MDSRec"), path)
    before = path.read_bytes()
    assert len(before) > 10_000
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    events = set(child.stdout.split())
    assert "open" in events
    assert not events & {"compile", "exec", "import", "pickle.find_class", "os.system"}
    assert not [e for e in events if e.startswith(("subprocess", "socket", "ctypes", "marshal"))]
    assert child.returncode == -signal.SIGXFSZ, child.stderr
    # A part of the new file is on the disk under another name.
    (partial,) = [p for p in path.parent.iterdir() if p != path]
    assert 0 < partial.stat().st_size < len(before) and partial.name.startswith(".recsk-")
    assert path.read_bytes() == before
    assert_identical(recsk.load(path), fitted("MDSRec"))


def test_concurrent_saves_leave_one_complete_file(path):
    models = [fitted("MDE"), fitted("MDE, sum")] * 4
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda model: recsk.save(model, path), models))
    loaded = recsk.load(path)
    assert repr(loaded) in {repr(model) for model in models}
    assert os.listdir(path.parent) == [path.name]

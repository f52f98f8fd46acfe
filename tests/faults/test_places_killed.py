"""A process is killed between writing a small file of a shared folder and renaming it: it leaves nothing for long."""

import os
import signal
import tempfile
import time
from pathlib import Path

import pytest
from clock_support import worker_ahead_by

from elt_factory.landing.places import LocalPlace
from forked import Forked

HOUR = 3600
WAYS = {
    "write": lambda place: place.write("state.json", b"new"),
    "change": lambda place: place.change("state.json", lambda content: content + b"new"),
    "exchange": lambda place: place.exchange("state.json", lambda content: content + b"new"),
}


def written(folder: Path, way: str) -> None:
    WAYS[way](LocalPlace(folder))


def signalled(folder: Path, way: str, number: int) -> None:
    """A process that is given a signal when its file is written and has not got its name yet."""
    replace, link = Path.replace, os.link

    def signal_once(real):
        def renamed(*given):
            Path.replace, os.link = replace, link
            os.kill(os.getpid(), number)
            return real(*given)

        return renamed

    Path.replace, os.link = signal_once(replace), signal_once(link)
    written(folder, way)


def begun(*given):
    process = Forked("elt_factory.landing.places").Process(target=given[0], args=given[1:])
    process.start()
    return process


@pytest.fixture(params=WAYS)
def way(request) -> str:
    return request.param


@pytest.fixture(params=[False, True], ids=["new", "in place of another"])
def there(request, tmp_path) -> bool:
    """Whether the file is there already."""
    if request.param:
        (tmp_path / "state.json").write_bytes(b"old ")
    return request.param


def leftovers(folder: Path) -> list[Path]:
    return sorted(folder.glob(".state.json.*"))


def age(files: list[Path]) -> None:
    for file in files:
        moment = file.stat().st_mtime - HOUR - 1
        os.utime(file, (moment, moment))


def test_what_a_killed_writer_left_is_removed_by_the_next_one_an_hour_later(tmp_path, way, there):
    killed = begun(signalled, tmp_path, way, signal.SIGKILL)
    killed.join(20)
    assert killed.exitcode == -signal.SIGKILL
    left = leftovers(tmp_path)
    assert len(left) == 1
    assert (tmp_path / "state.json").exists() is there
    # a user's file of almost such a name, and one of a folder below
    others = [tmp_path / ".state.json.5f", tmp_path / "below" / left[0].name]
    others[1].parent.mkdir()
    for other in others:
        other.touch()
    for expected in (left, []):
        # what is young may be a living writer's
        next_one = begun(written, tmp_path, "write")
        next_one.join(20)
        assert next_one.exitcode == 0
        assert [path for path in leftovers(tmp_path) if path not in others] == expected
        assert (tmp_path / "state.json").read_bytes() == b"new"
        age([*expected, *others])
    assert all(other.exists() for other in others)


def test_a_writer_that_was_stopped_for_longer_writes_again(tmp_path, way, there):
    stopped = begun(signalled, tmp_path, way, signal.SIGSTOP)
    until = time.monotonic() + 20
    while "T (stopped)" not in Path(f"/proc/{stopped.pid}/status").read_text():
        assert time.monotonic() < until
        time.sleep(0.01)
    left = leftovers(tmp_path)
    age(left)
    # it has no lock of the file that follows, since another file is written
    LocalPlace(tmp_path).write("other.json", b"")
    assert (len(left), leftovers(tmp_path)) == (1, [])
    os.kill(stopped.pid, signal.SIGCONT)
    stopped.join(20)
    assert stopped.exitcode == 0
    content = b"old new" if there and way != "write" else b"new"
    assert (tmp_path / "state.json").read_bytes() == content
    assert leftovers(tmp_path) == []


def test_a_worker_whose_clock_is_ahead_takes_no_young_file_for_an_old_one(tmp_path):
    young = tmp_path / f".state.json.{'5f' * 16}"
    young.touch()
    with worker_ahead_by(5) as worker:
        worker.do(written, tmp_path, "write")
    assert young.exists()


def test_a_file_that_cannot_get_its_name_is_not_left(tmp_path):
    (tmp_path / "state.json").mkdir()
    with pytest.raises(IsADirectoryError):
        LocalPlace(tmp_path).write("state.json", b"new")
    assert leftovers(tmp_path) == []


def test_a_process_looks_into_a_folder_once_an_hour(tmp_path, monkeypatch):
    looked, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: looked.append(folder) or scandir(folder))
    for _ in range(3):
        LocalPlace(tmp_path).change("state.json", lambda content: content)
    assert looked == [tmp_path]


def swept_by_another_user(folder: Path) -> None:
    os.setgid(65534)
    os.setuid(65534)
    assert LocalPlace(folder).sweep() == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize("mode", [0o755, 0o1777], ids=["a folder of one user", "a folder of all"])
def test_what_another_user_left_is_left_to_that_user(mode):
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        folder = Path(made)
        folder.chmod(mode)
        left = folder / f".state.json.{'5f' * 16}"
        left.touch()
        age([left])
        process = begun(swept_by_another_user, folder)
        process.join(20)
        assert process.exitcode == 0
        assert left.exists()
        assert LocalPlace(folder).sweep() == [left.name]

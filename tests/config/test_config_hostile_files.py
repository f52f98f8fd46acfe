"""A FIFO, a device, a loop of links, a huge file, one that may not be read: each is its own error alone."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from config_support import SMALL

from elt_factory.config.errors import ConfigError
from elt_factory.config.loading import config_files, load_folder
from elt_factory.core import content
from elt_factory.core.content import content_of, is_ordinary


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """TimeoutError where something waits: opening a FIFO that nobody writes to takes for ever."""

    def over(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def a_fifo(place: Path) -> None:
    os.mkfifo(place)


def a_device(place: Path) -> None:
    place.symlink_to("/dev/zero")


def a_loop(place: Path) -> None:
    place.symlink_to(place)


def a_huge_file(place: Path) -> None:
    with place.open("wb") as file:
        file.truncate(1_500_000_000)


def a_socket(place: Path) -> None:
    here = Path.cwd()
    os.chdir(place.parent)  # a socket's name may have a hundred characters
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(place.name)
    os.chdir(here)


def a_broken_link(place: Path) -> None:
    place.symlink_to("gone.yaml")


HOSTILE = {
    a_fifo: ("unreadable", "it is a FIFO"),
    a_device: ("unreadable", "it is a device"),
    a_loop: ("unreadable", "symbolic links"),
    a_huge_file: ("too-large", "more than 2000000 characters"),
    a_socket: ("unreadable", "it is a socket"),
    a_broken_link: ("unreadable", "No such file"),
}


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)
def test_what_is_not_an_ordinary_file_is_its_own_error_and_the_others_load(tmp_path, make):
    (tmp_path / "good.yaml").write_text(SMALL)
    make(tmp_path / "odd.yaml")
    with within(5):
        folder = load_folder(tmp_path)
    assert [item.file.name for item in folder.configs] == ["good.yaml"]
    code, told = HOSTILE[make]
    (problem,) = folder.errors[tmp_path / "odd.yaml"].problems
    assert (problem.code, problem.position.line) == (code, 1)
    assert told in problem.message


@pytest.mark.parametrize("make", [a_fifo, a_device, a_loop, a_huge_file], ids=lambda make: make.__name__)
def test_defaults_that_cannot_be_read_are_an_error_of_the_defaults(tmp_path, make):
    (tmp_path / "good.yaml").write_text(SMALL)
    make(tmp_path / "_defaults.yaml")
    with within(5):
        (error,) = load_folder(tmp_path).errors.values()
    assert error.problems[0].position.file == tmp_path / "_defaults.yaml"
    assert "odd" not in str(error)


def test_a_folder_that_leads_to_itself_is_looked_into_once(tmp_path):
    (tmp_path / "good.yaml").write_text(SMALL)
    (tmp_path / "again").symlink_to(tmp_path)
    assert config_files(tmp_path) == [tmp_path / "good.yaml"]


def test_a_file_that_may_not_be_read_says_so(tmp_path, monkeypatch):
    file = tmp_path / "a.yaml"
    file.write_text(SMALL)

    def refused(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(content.os, "open", refused)  # these tests may run as root, who may read all
    assert "Permission denied" in str(load_folder(tmp_path).errors[file])


def test_a_folder_that_may_not_be_looked_into_is_an_error_and_not_passed_over(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    (tmp_path / "good.yaml").write_text(SMALL)
    scandir = os.scandir

    def refusing(place: str | Path):
        if str(place).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refusing)
    folder = load_folder(tmp_path)
    assert list(folder.errors) == [tmp_path / "closed"]
    assert len(folder.configs) == 1


def test_a_file_that_is_exchanged_for_a_fifo_between_look_and_opening_is_refused(tmp_path, monkeypatch):
    file, fifo = tmp_path / "a.yaml", tmp_path / "fifo"
    file.write_text("x")
    os.mkfifo(fifo)
    opened = os.open
    monkeypatch.setattr(content.os, "open", lambda _, flags: opened(fifo, flags))
    with within(5), pytest.raises(OSError, match="it is a FIFO"):
        content_of(file)


def test_only_an_ordinary_file_is_shown_as_code(tmp_path):
    (tmp_path / "good.yaml").write_text(SMALL)
    a_fifo(tmp_path / "fifo.yaml")
    a_loop(tmp_path / "loop.yaml")
    a_huge_file(tmp_path / "huge.yaml")
    assert [file.name for file in sorted(tmp_path.iterdir()) if is_ordinary(file)] == ["good.yaml"]


def test_the_line_of_a_problem_is_not_looked_for_in_a_file_that_became_a_fifo(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(SMALL + "nonsense: 1\n")
    (error,) = load_folder(tmp_path).errors.values()
    file.unlink()
    os.mkfifo(file)
    with within(5):
        assert "nonsense" in str(ConfigError(error.problems))

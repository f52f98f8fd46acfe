"""Records that are still being read: what is noted of them is what a follower gets, in whole lines."""

import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elt_factory.extract import growing
from elt_factory.extract.growing import Growing, ReadFailedError


class Writing:
    """Writes lines into files as a reader does, and notes them."""

    def __init__(self, folder: Path, begin=lambda: None) -> None:
        self.folder, self.growing = folder, Growing(begin)

    def write(self, name: str, lines: bytes) -> None:
        file = self.folder / name
        with file.open("ab") as out:
            out.write(lines)
        self.growing.grew(file, file.stat().st_size)


@pytest.fixture
def writing(tmp_path) -> Writing:
    return Writing(tmp_path)


def test_what_is_there_comes_in_pieces_of_whole_lines_of_at_most_so_many_bytes(writing):
    writing.write("a", b"one\ntwo\nthree\na line that is longer\n")
    writing.growing.end()
    pieces = [piece for _, piece in writing.growing.pieces(9)]
    assert pieces == [b"one\ntwo\n", b"three\n", b"a line that is longer\n"]


def test_bytes_that_are_not_noted_do_not_come(writing):
    writing.write("a", b"one\n")
    with (writing.folder / "a").open("ab") as out:
        out.write(b"tw")
    writing.growing.end()
    assert list(writing.growing.pieces(100)) == [(writing.folder / "a", b"one\n")]


def test_a_follower_waits_for_what_comes_later(writing):
    came, first = [], threading.Event()

    def follow() -> None:
        for _, piece in writing.growing.pieces(100):
            came.append(piece)
            first.set()

    follower = threading.Thread(target=follow)
    writing.write("a", b"one\n")
    follower.start()
    assert first.wait(10)
    writing.write("b", b"two\n")
    writing.write("a", b"three\n")
    writing.growing.end()
    follower.join(10)
    assert not follower.is_alive()
    assert sorted(b"".join(came).splitlines()) == [b"one", b"three", b"two"]


def test_a_follower_who_waits_is_told_that_the_read_has_failed(writing):
    failed, waits = [], threading.Event()

    def follow() -> None:
        pieces = writing.growing.pieces(100)
        next(pieces)
        waits.set()
        try:
            next(pieces)
        except ReadFailedError as error:
            failed.append(error)

    follower = threading.Thread(target=follow)
    writing.write("a", b"one\n")
    follower.start()
    assert waits.wait(10)
    writing.growing.fail()
    follower.join(10)
    assert failed


def test_to_follow_begins_once_when_all_files_together_have_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(growing, "ENOUGH_BYTES", 8)
    begun = []
    writing = Writing(tmp_path, lambda: begun.append(writing.growing.files))
    writing.write("a", b"one\n")
    assert not begun
    writing.write("b", b"two\n")
    writing.write("b", b"three\n")
    assert begun == [(tmp_path / "a", tmp_path / "b")]


def test_of_many_files_one_is_open_at_a_time(writing):
    for number in range(20):
        writing.write(f"part-{number}", b"one\n")
    writing.growing.end()
    folder = str(writing.folder)
    for _ in writing.growing.pieces(100):
        opened = [str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
        assert len([path for path in opened if path.startswith(folder)]) == 1


def test_a_file_that_has_become_shorter_is_an_error(writing):
    writing.write("a", b"one\n")
    writing.growing.grew(writing.folder / "a", 100)
    writing.growing.end()
    with pytest.raises(OSError, match="shorter"):
        list(writing.growing.pieces(100))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.lists(st.binary(max_size=12).filter(lambda b: b"\n" not in b)))),
    st.integers(1, 30),
)
def test_every_byte_comes_once_in_its_order_whatever_was_written_when(tmp_path_factory, steps, most):
    writing = Writing(tmp_path_factory.mktemp("growing"))
    came: dict[str, bytes] = {}

    def follow() -> None:
        for file, piece in writing.growing.pieces(most):
            assert piece.endswith(b"\n")
            came[file.name] = came.get(file.name, b"") + piece

    follower = threading.Thread(target=follow)
    follower.start()
    written: dict[str, bytes] = {}
    for name, lines in steps:
        data = b"".join(line + b"\n" for line in lines)
        writing.write(name, data)
        written[name] = written.get(name, b"") + data
    writing.growing.end()
    follower.join(10)
    assert came == {name: data for name, data in written.items() if data}

"""The content of a file that anyone may have put into a folder of configs: read only where that ends.

A FIFO or a device would keep its reader waiting, a huge file would take all memory: they are errors of that file.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

# two million characters, of up to four bytes each
MOST_BYTES = 8_000_000
_KINDS = (
    (stat.S_ISDIR, "it is a folder"),
    (stat.S_ISFIFO, "it is a FIFO"),
    (stat.S_ISSOCK, "it is a socket"),
    (stat.S_ISCHR, "it is a device"),
    (stat.S_ISBLK, "it is a device"),
)


class TooLargeError(OSError):
    """A file is larger than any config."""


def content_of(file: Path) -> bytes:
    """Return the bytes of an ordinary file.

    Raises:
        TooLargeError: it has more than MOST_BYTES.
        OSError: it is not there, not an ordinary file, or cannot be read; `strerror` says which.
    """
    # a look before it is opened: opening a device may already do something
    _require_ordinary(file, file.stat())
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
        _require_ordinary(file, os.fstat(stream.fileno()))
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise TooLargeError(errno.EFBIG, f"the file is larger than {MOST_BYTES:,} bytes", str(file))
    return content


def is_ordinary(file: Path) -> bool:
    """Whether any program can read a file to its end: what the web UI shows as a DAG's code must be one."""
    try:
        about = file.stat()
    except OSError:
        return False
    return stat.S_ISREG(about.st_mode) and about.st_size <= MOST_BYTES


def _require_ordinary(file: Path, about: os.stat_result) -> None:
    if not stat.S_ISREG(about.st_mode):
        kind = next((kind for is_kind, kind in _KINDS if is_kind(about.st_mode)), "it is not an ordinary file")
        raise OSError(errno.EINVAL, kind, str(file))

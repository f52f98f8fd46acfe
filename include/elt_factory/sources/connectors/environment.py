"""The environments of connectors: made by uv once per package and version, and used by all tasks of a machine."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

from elt_factory.core.extras import install
from elt_factory.core.failures import BadRequestError, SourceUnavailableError
from elt_factory.core.private import private_files
from elt_factory.extract.label import TableLabel
from elt_factory.sources.connectors.model import Connector

CACHE_VARIABLE = "ELT_CONNECTORS"
_READY = "ready.txt"
# what an installation, or a connector, may know of this process: where programs and certificates are, and no more
_PASSED = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")
_INSTALLER = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS")
_DRAWN = re.compile(r"^[^A-Za-z0-9`]+")  # uv draws a tree before its lines
_CANNOT = ("No solution found", "was not found in", "Failed to build", "No interpreter found", "not a valid")


def bare_environment(**more: str) -> dict[str, str]:
    """Return environment variables for a process of someone else's: none of Airflow's, and no secret of another."""
    names = [*_PASSED, *_PROXIES, *map(str.lower, _PROXIES)]
    return {name: os.environ[name] for name in names if name in os.environ} | more


def command_of(extract: Connector, name: str, label: TableLabel, log: Callable[[str], None]) -> Path:
    """Return the connector's command in its environment, which is made where it is not there yet.

    Args:
        extract: What the config says of the connector.
        name: The name of its command.
        label: The table, for messages.
        log: Takes a line for people.

    Raises:
        BadRequestError: it cannot be installed, or has no such command.
        SourceUnavailableError: the packages cannot be reached now.
    """
    folder = _folder(extract)
    with private_files(), _alone(folder):
        if not (folder / _READY).is_file():
            _make(folder, extract, label, log)
    command = folder / "bin" / name
    if command.parent != folder / "bin" or not command.is_file():
        near = get_close_matches(name, [file.name for file in (folder / "bin").iterdir()], n=3, cutoff=0.4)
        hint = f"write executable: with one of {', '.join(near)}" if near else "write executable: with its command"
        raise label.error(BadRequestError, f'{extract.installed} has no command "{name}"', hint)
    return command


def cache() -> Path:
    """Return the folder of all environments: `$ELT_CONNECTORS`, else one in the user's cache."""
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "elt-factory" / "connectors"


def _folder(extract: Connector) -> Path:
    """Return where an environment is: one for what is installed in it, and with another version another."""
    said = "\n".join([extract.installed, *extract.requirements, extract.python or sys.version])
    return cache() / f"{extract.package_name}-{hashlib.sha256(said.encode()).hexdigest()[:16]}"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process makes an environment, others wait for it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(folder: Path, extract: Connector, label: TableLabel, log: Callable[[str], None]) -> None:
    # one that a killed task began is not known to be whole
    shutil.rmtree(folder, ignore_errors=True)
    uv = _uv(label)
    log(f"{label}: installing {extract.installed} into an environment of its own")
    _run([uv, "venv", "--quiet", "--python", extract.python or sys.executable, str(folder)], label)
    packages = [extract.installed, *extract.requirements]
    _run([uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *packages], label)
    frozen = _run([uv, "pip", "freeze", "--quiet", "--python", str(folder / "bin" / "python")], label)
    (folder / _READY).write_text(frozen, encoding="utf-8")
    log(f"{label}: installed {extract.installed} with {len(frozen.splitlines()) - 1} packages that it needs")


def _uv(label: TableLabel) -> str:
    beside_python = Path(sys.executable).parent / "uv"
    found = str(beside_python) if beside_python.is_file() else shutil.which("uv")
    if found is None:
        text = "uv, which makes the environments of connectors, is not installed"
        raise label.error(BadRequestError, text, install("connectors"))
    return found


def uv_answers(arguments: list[str], label: TableLabel, given: str = "") -> str:
    """Return what uv says to a command, which may read a text. Raises as `command_of` does."""
    return _run([_uv(label), *arguments], label, given)


def _run(command: list[str], label: TableLabel, given: str = "") -> str:
    variables = [name for name in os.environ if name.startswith(("UV_", "PIP_")) or name in _INSTALLER]
    environment: Mapping[str, str] = bare_environment(**{name: os.environ[name] for name in variables})
    done = subprocess.run(  # noqa: S603 - uv, with packages that the config names
        command, capture_output=True, text=True, env=environment, input=given, check=False
    )
    if done.returncode == 0:
        return done.stdout
    said = " ".join(_DRAWN.sub("", line) for line in done.stderr.splitlines() if not line.startswith("warning"))
    kind = BadRequestError if any(sign in said for sign in _CANNOT) else SourceUnavailableError
    raise label.error(kind, f"cannot install the connector: {said.strip()[:1000]}", "check package: and requirements:")

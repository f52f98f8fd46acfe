"""What a release has besides its code: a wheel that anyone can build again, a signature, licences that are known."""

import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = (
    "import os, sys; os.umask(int(sys.argv[2], 8));"
    "from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
)
BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE", "include/elt_factory")
LICENCES = ROOT / ".ci" / "licences.py"


def wheel_of(folder: Path, umask: str, clock: int) -> Path:
    """The wheel of a copy of the project, whose files have other times, by a user with other rights."""
    for name in BUILT_FROM:
        source, target = ROOT / name, folder / "project" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    for file in folder.rglob("*"):
        os.utime(file, (clock, clock))
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder), umask],
        env=os.environ | {"SOURCE_DATE_EPOCH": "1767225600"},
        cwd=folder / "project",
        check=True,
        capture_output=True,
        text=True,
    )
    return folder / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folders = [tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("another-place")]
    return [
        wheel_of(folder, umask, clock)
        for folder, umask, clock in zip(folders, ("077", "022"), (1_500_000_000, 1_700_000_000), strict=True)
    ]


def test_two_builds_in_two_folders_at_two_times_have_equal_bytes(wheels):
    one, other = wheels
    assert one.name == other.name
    assert sha256(one.read_bytes()).hexdigest() == sha256(other.read_bytes()).hexdigest()
    assert one.stat().st_size > 500_000


@pytest.mark.skipif(not shutil.which("gpg"), reason="gpg is not installed")
def test_a_signature_holds_and_a_changed_byte_is_found(wheels, tmp_path):
    # its sockets have short paths only
    home = tmp_path / "g"
    home.mkdir(mode=0o700)

    def gpg(*arguments: str) -> int:
        command = ["gpg", "--homedir", str(home), "--batch", "--pinentry-mode", "loopback", "--passphrase", ""]
        return subprocess.run([*command, *arguments], check=False, capture_output=True).returncode

    try:
        assert gpg("--quick-generate-key", "release@example.org", "ed25519", "sign", "never") == 0
        wheel = Path(shutil.copy(wheels[0], tmp_path))
        # as `make release` does
        assert gpg("--local-user", "release@example.org", "--armor", "--detach-sign", str(wheel)) == 0
        signature = f"{wheel}.asc"
        assert gpg("--verify", signature, str(wheel)) == 0
        content = bytearray(wheel.read_bytes())
        content[len(content) // 2] ^= 1
        wheel.write_bytes(content)
        assert gpg("--verify", signature, str(wheel)) != 0
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)


def test_every_package_that_ours_needs_has_a_licence_that_is_listed():
    done = subprocess.run([sys.executable, LICENCES], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert len(done.stdout.splitlines()) > 150


@pytest.mark.parametrize(
    ("licence", "fit"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("GPL-3.0-only", False),
        ("", False),
        ("Mozilla Public License 2.0 (MPL 2.0)", True),
    ],
)
def test_what_is_not_listed_is_refused(monkeypatch, licence, fit):
    monkeypatch.syspath_prepend(str(LICENCES.parent))
    import licences

    allowed, excepted = licences.listed(licences.LISTED.read_text())
    assert licences.fits(licence, allowed) is fit
    # a package that was looked at is excepted with that licence, and no other
    assert excepted["paramiko"] == "LGPL-2.1"

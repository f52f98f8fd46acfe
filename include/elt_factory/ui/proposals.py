"""A YAML that was written in the browser as a branch of the repository that the bundle of configs reads.

The branch is pushed by the bundle's own connection, with one file changed, and goes its way by review: the branch that
Airflow reads is never written. Git's plumbing is used, so that nothing of the repository is checked out or run.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from elt_factory.core.failures import BadRequestError, EltError, SourceUnavailableError
from elt_factory.ui.models import Proposal, Repository

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

EVENT = "elt_propose"
_SECONDS = 60
_LOGIN = re.compile(r"//[^@/\s]+@")
_SCP = re.compile(r"^[^/@:]+@([^/:]+):(.+)$")
_pushing = Lock()  # the hook of the connection changes the environment of the process


@dataclass(frozen=True)
class GitPlace:
    """Where the YAML files are: a folder of a branch of a repository."""

    url: str
    branch: str
    folder: str
    bundle: Any

    def file(self, name: str) -> str:
        """Return the place of a file in the repository."""
        return f"{self.folder}/{name}" if self.folder else name

    @property
    def web(self) -> str:
        """The address of the repository for people; empty where it has none that is known."""
        scp = _SCP.match(self.url)
        parts = urlsplit(f"https://{scp[1]}/{scp[2]}" if scp else self.url)
        if parts.scheme not in ("http", "https", "ssh") or not parts.hostname:
            return ""
        return f"https://{parts.hostname}{parts.path.removesuffix('/').removesuffix('.git')}"


def git_place() -> GitPlace | None:
    """Return the repository of the bundle of configs; None where they are not in one.

    Raises:
        BadRequestError: its connection is missing, or not valid.
    """
    from airflow.configuration import conf
    from airflow.sdk.exceptions import AirflowException

    found: Any = conf.getjson("dag_processor", "dag_bundle_config_list", fallback=[])
    for entry in found or ():
        if isinstance(entry, Mapping) and str(entry.get("classpath", "")).endswith(".GitYamlBundle"):
            from elt_factory.dag.bundle_git import GitYamlBundle

            try:
                bundle = GitYamlBundle(name=entry["name"], **entry.get("kwargs", {}))
            except (AirflowException, ValueError) as error:
                raise BadRequestError(f"the git bundle {entry['name']} cannot be opened: {error}") from error
            folder = (bundle.subdir or "").strip("/")
            return GitPlace(str(bundle.repo_url or ""), bundle.tracking_ref, folder, bundle)
    return None


def repository() -> Repository | None:
    """Return what the page says of the repository, without a secret; None where there is none that can be used."""
    with suppress(EltError):
        place = git_place()
        return Repository(branch=place.branch, folder=place.folder, page=place.web) if place else None
    return None


def proposed(file: str, text: str, who: str) -> Proposal:
    """Push a branch with a file, and return it with the address where it becomes a pull request.

    A branch of this text that is there already is returned as it is.

    Raises:
        BadRequestError: the configs are in no repository, or it has the very same file.
        SourceUnavailableError: git refuses.
    """
    place = git_place()
    if place is None:
        raise BadRequestError("the configs of this deployment are in no git bundle; hint: download the file")
    name = file.removesuffix(".yaml").removesuffix(".yml")
    branch = f"elt/{name}-{sha256(text.encode()).hexdigest()[:8]}"
    with _pushing, tempfile.TemporaryDirectory() as folder:
        if place.bundle.hook is None:
            commit, pushed = _push(_Git(folder, {}), place, (file, text, who), branch)
        else:
            with place.bundle.hook.configure_hook_env():
                commit, pushed = _push(_Git(folder, place.bundle.hook.env), place, (file, text, who), branch)
    return Proposal(
        branch=branch,
        base=place.branch,
        file=place.file(file),
        commit=commit,
        pushed=pushed,
        page=_request(place, branch),
    )


def _push(git: _Git, place: GitPlace, change: tuple[str, str, str], branch: str) -> tuple[str, bool]:
    """Return the commit of a branch, and whether it was pushed now."""
    file, text, who = change
    git("init", "--quiet")
    git("fetch", "--quiet", "--depth=1", "--no-tags", "--", place.url, place.branch)
    before = git("rev-parse", "FETCH_HEAD")
    git("read-tree", before)
    known = git("ls-files", "--", place.file(file))
    blob = git("hash-object", "-w", "--stdin", given=text)
    git("update-index", "--add", "--cacheinfo", f"100644,{blob},{place.file(file)}")
    tree = git("write-tree")
    if tree == git("rev-parse", f"{before}^{{tree}}"):
        raise BadRequestError(f"{place.file(file)} of {place.branch} is this text already")
    there = git("ls-remote", "--", place.url, f"refs/heads/{branch}")
    if there:
        # its name says that it has this text: it was pushed before
        return there.split()[0], False
    words = f"{'Change' if known else 'Add'} {file}\n\nWritten on the Sources page of Airflow by {who}.\n"
    commit = git("commit-tree", tree, "-p", before, given=words, author=who)
    git("push", "--quiet", "--no-verify", "--", place.url, f"{commit}:refs/heads/{branch}")
    return commit, True


@dataclass(frozen=True)
class _Git:
    """Git in a folder, with the environment of the bundle's connection; it never asks."""

    folder: str
    environment: Mapping[str, str]

    def __call__(self, *arguments: str, given: str | None = None, author: str = "elt-factory") -> str:
        quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_DIR": f"{self.folder}/.git"}
        try:
            done = subprocess.run(  # noqa: S603 - git, no shell; what a user wrote is a file's content or after "--"
                ["git", *arguments],  # noqa: S607
                cwd=self.folder,
                env={**os.environ, **self.environment, **_identity(author), **quiet},
                input=given,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SourceUnavailableError(f"git {arguments[0]} did not end: {type(error).__name__}") from None
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise SourceUnavailableError(f"git {arguments[0]} failed: {_LOGIN.sub('//', said)}")
        return done.stdout.strip()


def _identity(author: str) -> dict[str, str]:
    """Return the names of a commit's author: a user of Airflow has no address."""
    name = re.sub(r"[^\w.@ -]", "", author).strip() or "elt-factory"
    parts = {"NAME": name, "EMAIL": f"{name.replace(' ', '.')}@airflow.invalid"}
    return {f"GIT_{role}_{part}": value for role in ("AUTHOR", "COMMITTER") for part, value in parts.items()}


def _request(place: GitPlace, branch: str) -> str:
    """Return the address where the git host makes a pull request of a branch; empty for a host that is not known."""
    host, base = urlsplit(place.web).hostname or "", quote(place.branch, safe="")
    head = quote(branch, safe="")
    if host == "github.com" or host.startswith("github."):
        return f"{place.web}/compare/{base}...{head}?expand=1"
    if host == "gitlab.com" or host.startswith("gitlab."):
        asked = {"merge_request[source_branch]": branch, "merge_request[target_branch]": place.branch}
        return f"{place.web}/-/merge_requests/new?{urlencode(asked)}"
    if host == "bitbucket.org":
        return f"{place.web}/pull-requests/new?{urlencode({'source': branch, 'dest': place.branch})}"
    return ""


def note(session: Session, who: str, made: Proposal) -> None:
    """Write into Airflow's audit log who had which branch pushed."""
    from airflow.models.log import Log

    extra = json.dumps({"branch": made.branch, "commit": made.commit, "file": made.file})
    session.add(Log(event=EVENT, owner=who, owner_display_name=who, extra=extra))

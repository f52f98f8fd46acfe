"""Singer taps of a Meltano project, or of a folder with a catalog, as configs, from the state that they had."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from elt_factory.config.models import secrets
from elt_factory.discover.periods import sane_name
from elt_factory.importing.project import Imported, NotAProjectError, head_of, read_yaml, valid_only

Plugin = Mapping[str, Any]
# finds the version of a package that has none; None where it cannot be found
Pin = Callable[[str], str | None]
_EXACT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[^]]*\])?==[A-Za-z0-9][A-Za-z0-9.!+_-]*")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[^]]*\])?")
_GIT = re.compile(r"(?:[A-Za-z0-9._-]+\s*@\s*)?git\+(https://[A-Za-z0-9.-]+/[^@\s#]+)@([^\s#]+)")
_OF_ENVIRONMENT = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")
_CRONS = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *"}
_WITHOUT = {
    "schema": "columns: of the table says types",
    "load_schema": "the schema in the warehouse is the name of the config",
    "commands": "commands of Meltano",
    "use_cached_catalog": "the catalog is discovered with each read",
}
_OTHERS = ("loaders", "transformers", "transforms", "orchestrators", "utilities", "mappers", "files")


def imported(path: Path, states: Mapping[str, Any], pin: Pin, package: str | None = None) -> list[Imported]:
    """Return a config for each tap of a project.

    Args:
        path: The folder of a Meltano project, its meltano.yml, or a folder with a tap's catalog and configuration.
        states: The states of Singer by the names of the taps; one without a name is of the only tap.
        pin: Finds the version of a package.
        package: The package of the tap of a folder, which does not say it.

    Raises:
        NotAProjectError: it is neither.
    """
    file = path if path.is_file() else path / "meltano.yml"
    if not file.is_file():
        return [_of_folder(path, states, pin, package)]
    parts = list(_parts(file))
    taps = [plugin for part in parts for plugin in (part.get("plugins") or {}).get("extractors") or []]
    schedules = {str(one.get("extractor")): one for part in parts for one in part.get("schedules") or []}
    jobs = [one for part in parts for one in part.get("jobs") or []]
    others = {
        str(plugin.get("name")): f"{kind} are not sources: the warehouse is loaded by ELT Factory"
        for part in parts
        for kind in _OTHERS
        for plugin in (part.get("plugins") or {}).get(kind) or []
    }
    others |= {str(job.get("name")): "a job: its taps are configs of their own, dbt goes to transform:" for job in jobs}
    others |= {
        str(one.get("name")): f"a schedule of the job {one['job']}: write schedule: in its configs"
        for part in parts
        for one in part.get("schedules") or []
        if one.get("job")
    }
    if not taps:
        raise NotAProjectError(f"{file}: it has no extractors")
    known = {str(tap["name"]): tap for tap in taps}
    if len(taps) == 1 and "" in states:
        states = {str(taps[0]["name"]): states[""]}
    found = [_of_tap(_whole(tap, known), file.parent, schedules, states, pin) for tap in taps]
    found[0].left_out |= others
    return found


def _parts(file: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the project's file and those that it includes."""
    root = read_yaml(file)
    yield root
    for pattern in root.get("include_paths") or []:
        for more in sorted(file.parent.glob(str(pattern).removeprefix("./"))):
            if more.resolve().is_relative_to(file.parent.resolve()):
                yield read_yaml(more)


def _whole(tap: Plugin, known: Mapping[str, Plugin], depth: int = 0) -> Plugin:
    above = known.get(str(tap.get("inherit_from")))
    if above is None or above is tap or depth > len(known):
        return tap
    whole = _whole(above, known, depth + 1)
    return {**whole, **tap, "config": {**(whole.get("config") or {}), **(tap.get("config") or {})}}


def _of_tap(tap: Plugin, root: Path, schedules: Mapping[str, Plugin], states: Mapping[str, Any], pin: Pin) -> Imported:
    name = str(tap["name"])
    found = Imported(head_of(sane_name(name.removeprefix("tap-")) or "imported", **_when(schedules.get(name))))
    found.config |= {"extract": {"type": "singer"}, "tables": {}}
    package = _package(str(tap.get("pip_url") or _locked(root, tap) or name), pin)
    if package is None:
        found.left_out[name] = f"no version of {tap.get('pip_url') or name} is known: write pip_url with ==, or a tag"
        return found
    for key in sorted(set(tap) & set(_WITHOUT)):
        found.left_out[f"{name}: {key}"] = _WITHOUT[key]
    catalog = root / str(tap["catalog"]) if tap.get("catalog") else None
    state = states.get(name)
    if state is None and "" in states:
        found.left_out[f"{name}: state"] = f'it does not say of which tap it is: write {{"{name}": ...}} around it'
    _fill(found, (package, tap.get("executable")), (tap.get("config") or {}, _streams(tap, catalog, state)), state)
    return found


def _of_folder(path: Path, states: Mapping[str, Any], pin: Pin, package: str | None) -> Imported:
    catalog = next((path / name for name in ("catalog.json", "properties.json") if (path / name).is_file()), None)
    if catalog is None:
        raise NotAProjectError(f"{path}: neither meltano.yml nor catalog.json is there")
    if package is None:
        raise NotAProjectError(f"{path}: write --package with that of the tap, such as tap-github==2.1.0")
    pinned = _package(package, pin)
    if pinned is None:
        raise NotAProjectError(f"no version of {package} is known: write it with ==")
    settings = _json(path / "config.json") or {}
    state = states.get("") or _json(path / "state.json")
    name = sane_name(re.split(r"[\[= ]", pinned)[0].rpartition("tap-")[2]) or "imported"
    found = Imported(head_of(name) | {"extract": {"type": "singer"}, "tables": {}})
    _fill(found, (pinned, None), (settings, _streams({}, catalog, state)), state)
    return found


def _fill(
    found: Imported, command: tuple[str, str | None], said: tuple[Plugin, dict[str, dict[str, Any]]], state: Any
) -> None:
    settings, streams = said
    name, (package, executable) = found.config["name"], command
    own, held = _settings(settings)
    found.held = {f"extra.{key}": value for key, value in held.items()}
    found.config["extract"] = {
        "type": "singer",
        "package": package,
        **({"executable": executable} if executable else {}),
        **({"connection": f"{name}_tap"} if held else {}),
        **({"config": own} if own else {}),
    }
    if not streams:
        found.left_out[f"tap-{name}"] = f"its streams are not in the project: elt new {name} --singer '{package}'"
    for stream, about in streams.items():
        table = sane_name(stream) or "records"
        found.config["tables"][table] = _table(found, table, stream, about, state)
    valid_only(found)


def _table(found: Imported, table: str, stream: str, about: dict[str, Any], state: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"stream": stream} if stream != table else {}
    changes = about.get("changes", stream in _bookmarks(state))
    if not about.get("key"):
        if changes:
            text = "it was read by its changes, and its key is not in the project: write primary_key, "
            found.note(table, text + "write_disposition: merge, sync: incremental and initial_state")
        return {**made, "write_disposition": "replace"}
    made |= {"primary_key": about["key"], "write_disposition": "merge"}
    if changes:
        made |= {"sync": "incremental"}
        if about.get("cursor"):
            made["replication_key"] = about["cursor"]
        if stream in _bookmarks(state):
            made["initial_state"] = {"bookmarks": {stream: _bookmarks(state)[stream]}}
        else:
            found.note(table, "no state of it was found: the first load reads all; elt import ... --state FILE")
    return made


def _bookmarks(state: Any) -> Mapping[str, Any]:
    found = state.get("bookmarks") if isinstance(state, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _streams(tap: Plugin, catalog: Path | None, state: Any) -> dict[str, dict[str, Any]]:
    """Return the streams that are chosen, with their keys and cursors where the project has them."""
    found = {name: dict(about) for name, about in _of_catalog(_json(catalog) if catalog else None)}
    picked = [str(one) for one in tap.get("select") or [] if not str(one).startswith("!")]
    patterns = list(dict.fromkeys(one.partition(".")[0] for one in picked))
    if not found:
        plain = [name for name in patterns if "*" not in name]
        found = {str(name): {} for name in (*plain, *_bookmarks(state))}
    said = (tap.get("metadata") or {}).items()
    return {
        name: about | _said_of(name, said)
        for name, about in found.items()
        if not patterns or any(fnmatchcase(name, one) for one in patterns)
    }


def _said_of(name: str, said: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    found = [about for pattern, about in said if fnmatchcase(name, str(pattern)) and isinstance(about, Mapping)]
    # of several rules the last one holds, also where it takes a cursor away
    return {key: value for about in found for key, value in _of_metadata(about).items()}


def _of_catalog(catalog: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for stream in (catalog or {}).get("streams") or []:
        root: dict[str, Any] = next(
            (one["metadata"] for one in stream.get("metadata") or [] if not one.get("breadcrumb")), {}
        )
        if root.get("selected", (stream.get("schema") or {}).get("selected", stream.get("selected", True))) is False:
            continue
        about = _of_metadata({**root, **{key.replace("_", "-"): value for key, value in stream.items()}})
        key = about.get("key") or root.get("table-key-properties") or root.get("view-key-properties")
        yield str(stream.get("tap_stream_id") or stream["stream"]), {**about, **({"key": _listed(key)} if key else {})}


def _of_metadata(about: Plugin) -> dict[str, Any]:
    method = about.get("replication-method") or about.get("forced-replication-method")
    found: dict[str, Any] = {"key": _listed(about.get("key-properties") or about.get("table-key-properties"))}
    found |= {"cursor": about.get("replication-key"), "changes": method == "INCREMENTAL" if method else None}
    return {key: value for key, value in found.items() if value or (key == "changes" and value is False)}


def _listed(key: Any) -> list[str]:
    """Return the columns of a key: where there is one, it may be written without a list."""
    return [key] if isinstance(key, str) and key else [str(one) for one in key or []]


def _settings(given: Plugin) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the settings for the config, and those for the connection: secrets, and what the environment had."""
    own, held = dict[str, Any](), dict[str, str]()
    for key, value in given.items():
        variable = _OF_ENVIRONMENT.search(value) if isinstance(value, str) else None
        if variable:
            held[str(key)] = f"the value of ${variable[1]}"
        elif secrets.may_hold_one(str(key), value, _OF_ENVIRONMENT):
            held[str(key)] = "the secret that is in the project"
        else:
            own[str(key)] = value
    return own, held


def _package(named: str, pin: Pin) -> str | None:
    """Return a package with its version, out of what pip is given for it."""
    first = named.split(maxsplit=1)[0] if not _GIT.match(named) else named
    if _EXACT.fullmatch(first):
        return first
    if git := _GIT.match(named):
        base = git[1].rstrip("/").removesuffix(".git")
        return f"{base.rpartition('/')[2]} @ git+{git[1]}@{git[2]}"
    plain = re.split(r"[<>=!~;]", first)[0]
    return pin(plain) if _PLAIN.fullmatch(plain) else None


def _locked(root: Path, tap: Plugin) -> str | None:
    """Return what pip is given by the project's lock of a plugin."""
    named = f"{tap.get('inherit_from') or tap['name']}--{tap.get('variant')}.lock"
    lock = _json(root / "plugins" / "extractors" / named) or {}
    return str(lock["pip_url"]) if lock.get("pip_url") else None


def _when(schedule: Plugin | None) -> dict[str, Any]:
    interval = str((schedule or {}).get("interval") or "")
    cron = _CRONS.get(interval, interval if len(interval.split()) == 5 else None)  # noqa: PLR2004 - fields of a cron
    begins = re.match(r"\d{4}-\d{2}-\d{2}", str((schedule or {}).get("start_date") or ""))
    return {"schedule": cron, "start_date": begins[0] if begins else None}


def _json(file: Path) -> Any:
    """Return what is in a file of JSON; None where there is no such file.

    Raises:
        NotAProjectError: it is not JSON. A catalog, or a state, is not guessed.
    """
    if not file.is_file():
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NotAProjectError(f"{file}: not JSON: {error}") from None


def states_in(file: Path) -> dict[str, Any]:
    """Return the states in a file: that of one tap as Singer or Meltano has it, or of several by their names.

    Raises:
        NotAProjectError: it is not JSON.
    """
    found = _json(file)
    if not isinstance(found, dict):
        raise NotAProjectError(f"{file}: not a state: expected JSON")
    inner = (found.get("completed") or found).get("singer_state") or found
    if "bookmarks" in inner or not all(isinstance(value, dict) for value in found.values()):
        return {"": inner}
    return {name: (value.get("completed") or value).get("singer_state") or value for name, value in found.items()}

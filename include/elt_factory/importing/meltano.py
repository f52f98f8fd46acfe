"""Singer taps of a Meltano project, or of a folder with a catalog, as configs, from the state that they had."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from elt_factory.config.models import secrets
from elt_factory.discover.periods import sane_name
from elt_factory.importing.project import Imported, NotAProjectError, head_of, read_yaml, valid_only
from elt_factory.importing.shape import OTHERS, TEXTS, check, needed
from elt_factory.importing.singer_streams import CATALOG, Stream, chosen

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
    "python": "python: of extract chooses the interpreter",
    "env": "settings through the environment: write them in config, or in the connection",
    "select_filter": "only some of its streams were read: remove the other tables",
}
_SAID = frozenset((
    "name", "inherit_from", "variant", "namespace", "label", "description", "docs", "repo", "logo_url", "hidden",
    "pip_url", "executable", "config", "settings", "settings_group_validation", "capabilities", "keywords",
    "maintenance_status", "domain_url", "usage", "metadata", "select", "catalog", "prereq", "signup_url",
))  # fmt: skip
_TAP = {
    "config": {},
    "metadata": {OTHERS: {"key-properties": TEXTS, "table-key-properties": TEXTS, "replication-key": "text"}},
    "select": ["text"],
    "env": {},
    "catalog": "text",
}
_STATE: dict[str, Any] = {"bookmarks": {}}
_EXTRACTORS = {"plugins": {"extractors": [_TAP]}}
_SHAPE = {
    "plugins": {"extractors": [_TAP], OTHERS: [{}]},
    "schedules": [{"env": {}}],
    "jobs": [{}],
    "env": {},
    "environments": [{"env": {}, "config": _EXTRACTORS}],
    "include_paths": ["text"],
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
    found[0].left_out |= others | _of_project(parts, known)
    found[0].left_out |= {
        f"state of {name}": "no tap has that name" for name in sorted(set(states) - set(known) - {""})
    }
    return found


def _of_project(parts: Iterable[Mapping[str, Any]], known: Mapping[str, Plugin]) -> dict[str, str]:
    """Return what a project says of its taps where it does not describe them."""
    found = dict[str, str]()
    for part in parts:
        if part.get("env"):
            found["env"] = f"settings through the environment: {', '.join(sorted(map(str, part['env'])))}"
        for one in part.get("environments") or []:
            given = ((one.get("config") or {}).get("plugins") or {}).get("extractors") or []
            for tap in given:
                keys = sorted({*map(str, tap.get("config") or {}), *map(str, set(tap) - {"name", "config"})})
                text = f"{', '.join(keys)} are others there: this config has those of the tap alone"
                found[f"{tap.get('name')} in the environment {one.get('name')}"] = text
            if one.get("env"):
                text = f"settings through the environment: {', '.join(sorted(map(str, one['env'])))}"
                found[f"env of the environment {one.get('name')}"] = text
        found |= _of_schedules(part.get("schedules") or [], known)
    return found


def _of_schedules(schedules: Iterable[Plugin], known: Mapping[str, Plugin]) -> dict[str, str]:
    found, seen = dict[str, str](), dict[str, str]()
    for one in schedules:
        name, tap = str(one.get("name")), str(one.get("extractor"))
        if one.get("job") or tap not in known:
            continue
        if tap in seen:
            found[seen[tap]] = f"{tap} has another schedule, {name}: a config has one"
        if not _when(one)["schedule"]:
            found[name] = f"{tap} ran {one.get('interval') or 'at no known time'}: write schedule"
        if one.get("env"):
            text = f"settings through the environment: {', '.join(sorted(map(str, one['env'])))}"
            found[f"env of the schedule {name}"] = text
        seen[tap] = name
    return found


def _parts(file: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the project's file and those that it includes."""
    root = _checked(file)
    yield root
    for pattern in root.get("include_paths") or []:
        for more in sorted(file.parent.glob(str(pattern).removeprefix("./"))):
            if more.resolve().is_relative_to(file.parent.resolve()):
                yield _checked(more)


def _checked(file: Path) -> Mapping[str, Any]:
    root = read_yaml(file)
    check(root, _SHAPE, file)
    needed((root.get("plugins") or {}).get("extractors"), ("name",), file, "plugins.extractors")
    return root


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
    for key in sorted(key for key in map(str, tap) if key not in _SAID):
        found.left_out[f"{name}: {key}"] = _WITHOUT.get(key, "a key of the tap without a counterpart")
    catalog = root / str(tap["catalog"]) if tap.get("catalog") else None
    state = states.get(name)
    if state is None and "" in states:
        found.left_out[f"{name}: state"] = f'it does not say of which tap it is: write {{"{name}": ...}} around it'
    said = tap.get("config") or {}, chosen(tap, _catalog(catalog), _bookmarks(state))
    _fill(found, (package, tap.get("executable")), said, state)
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
    settings = _json(path / "config.json", {}) or {}
    state = states.get("") or _json(path / "state.json", _STATE)
    name = sane_name(re.split(r"[\[= ]", pinned)[0].rpartition("tap-")[2]) or "imported"
    found = Imported(head_of(name) | {"extract": {"type": "singer"}, "tables": {}})
    _fill(found, (pinned, None), (settings, chosen({}, _catalog(catalog), _bookmarks(state))), state)
    return found


def _fill(found: Imported, command: tuple[str, str | None], said: tuple[Plugin, dict[str, Stream]], state: Any) -> None:
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
        if about.unsaid:
            found.left_out[stream] = about.unsaid
        elif table := found.free(stream):
            found.config["tables"][table] = _table(found, table, stream, about.said, state) | _columns(
                found, table, about
            )
    for stream in sorted(set(_bookmarks(state)) - set(streams)):
        found.left_out[f"state of {stream}"] = "no stream of that name is chosen"
    valid_only(found)


def _columns(found: Imported, table: str, about: Stream) -> dict[str, Any]:
    """Return the columns that were not chosen, as dropped ones."""
    for text in about.notes:
        found.note(table, text)
    return {"columns": {name: {"pii": "drop"} for name in about.dropped}} if about.dropped else {}


def _table(found: Imported, table: str, stream: str, about: dict[str, Any], state: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"stream": stream} if stream != table else {}
    changes = about.get("changes", stream in _bookmarks(state))
    if not about.get("key"):
        if changes:
            text = "it was read by its changes, and its key is not in the project: write primary_key, "
            found.note(table, text + "write_disposition: merge, sync: incremental and initial_state")
        _of_log(found, table, about)
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
    _of_log(found, table, about)
    return made


def _of_log(found: Imported, table: str, about: dict[str, Any]) -> None:
    if about.get("of_log"):
        text = "it was read from the log of changes (LOG_BASED), whose state is not taken over: every load reads all"
        found.note(table, text)


def _bookmarks(state: Any) -> Mapping[str, Any]:
    found = state.get("bookmarks") if isinstance(state, Mapping) else None
    return found if isinstance(found, Mapping) else {}


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
    lock = _json(root / "plugins" / "extractors" / named, {}) or {}
    return str(lock["pip_url"]) if lock.get("pip_url") else None


def _when(schedule: Plugin | None) -> dict[str, Any]:
    interval = str((schedule or {}).get("interval") or "")
    cron = _CRONS.get(interval, interval if len(interval.split()) == 5 else None)  # noqa: PLR2004 - fields of a cron
    begins = re.match(r"\d{4}-\d{2}-\d{2}", str((schedule or {}).get("start_date") or ""))
    return {"schedule": cron, "start_date": begins[0] if begins else None}


def _json(file: Path, shape: Any = None) -> Any:
    """Return what is in a file of JSON; None where there is no such file.

    Raises:
        NotAProjectError: it is not JSON of that shape. A catalog, or a state, is not guessed.
    """
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NotAProjectError(f"{file}: not JSON: {error}") from None
    check(found, shape, file)
    return found


def _catalog(file: Path | None) -> Any:
    """Return the catalog in a file.

    Raises:
        NotAProjectError: it is not one.
    """
    found = _json(file, CATALOG) if file else None
    needed((found or {}).get("streams"), ("tap_stream_id", "stream"), file or Path(), "streams")
    return found


def states_in(file: Path) -> dict[str, Any]:
    """Return the states in a file: that of one tap as Singer or Meltano has it, or of several by their names.

    Raises:
        NotAProjectError: it is not JSON.
    """
    found = _json(file)
    if not isinstance(found, dict):
        raise NotAProjectError(f"{file}: not a state: expected a mapping")
    inner = (found.get("completed") or found).get("singer_state") or found
    if "bookmarks" in inner or not all(isinstance(value, dict) for value in found.values()):
        return {"": inner}
    return {name: (value.get("completed") or value).get("singer_state") or value for name, value in found.items()}

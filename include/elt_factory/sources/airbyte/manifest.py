"""A low-code manifest in the project, as airbyte-cdk is handed it: a mapping without Python of its author's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from elt_factory.config.errors import MistakeError, near_name
from elt_factory.config.models import secrets
from elt_factory.core.content import content_of
from elt_factory.sources.airbyte.model import INJECTED

KEY_OF_MANIFEST = f"{INJECTED}declarative_manifest"
SUFFIXES = (".yaml", ".yml", ".json")
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_WORD = re.compile("[A-Za-z_]+")
_PROSE = ("error_message", "error_message_contains", "description", "title")
_REFERENCES = ("#/", "*ref(")
# they describe settings and records by their names, and have none of their values
_OF_SETTINGS = ("spec", "schema", "schemas", "metadata")
_SETTING = "write {{ config['NAME'] }} there, and put the secret under NAME into the extra of the Airflow connection"
_INSTEAD = "it would need the connector's own package: write package: instead of manifest:"


class _Loader(yaml.CSafeLoader):
    """Dates stay the texts that they are: the manifest is handed on as JSON."""


_Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: str(node.value))


def manifest_of(project: Path, name: str) -> Mapping[str, Any]:
    """Return the manifest in a file of the project.

    Raises:
        MistakeError: it is not there, is not a manifest, or has custom Python components; says where in it.
    """
    file = (project / name).resolve()
    if not file.is_relative_to(project.resolve()):
        # a link may lead there, and its name does not show that
        raise MistakeError(f"{name} points outside the project", "put the manifest into the project", code="bad-path")
    try:
        about = file.stat()
        return _read(file, name, about.st_mtime_ns, about.st_size)
    except OSError as error:
        if file.is_file():
            raise MistakeError(f"{name} cannot be read: {error.strerror}", code="missing-file") from None
        raise MistakeError(f"file {name} does not exist", _near(project, name), code="missing-file") from None


def specification_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest's description of its settings; nothing where it has none."""
    spec = _followed(manifest, manifest.get("spec"))
    found = _followed(manifest, spec.get("connection_specification"))
    return dict(found)


def handed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest for airbyte-cdk, which would refuse it as a setting where others are forbidden."""
    specification = specification_of(manifest)
    if specification.get("additionalProperties", True) is True:
        return dict(manifest)
    spec = dict(_followed(manifest, manifest.get("spec")))
    spec["connection_specification"] = {**specification, "additionalProperties": True}
    return {**manifest, "spec": spec}


def _followed(root: Mapping[str, Any], node: object) -> Mapping[str, Any]:
    """Return a mapping, or the one that it refers to by `#/definitions/...`."""
    reference = node.get("$ref") if isinstance(node, Mapping) else node
    if isinstance(reference, str) and reference.startswith("#/"):
        node = root
        for part in reference[2:].split("/"):
            node = node.get(part) if isinstance(node, Mapping) else None
    return node if isinstance(node, Mapping) else {}


@lru_cache(maxsize=64)
def _read(file: Path, name: str, *_: int) -> Mapping[str, Any]:
    """Return the manifest in a file; the numbers say whether it is still the same."""
    try:
        loader = _Loader(content_of(file))
        node = loader.get_single_node()
        found = None if node is None else loader.construct_document(node)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        said = " ".join(str(getattr(error, "problem", None) or error).split())
        raise MistakeError(f"{name}{place}: not YAML: {said}", code="bad-manifest") from None
    if not isinstance(found, dict) or not (_is_list(found, "streams") or _is_list(found, "dynamic_streams")):
        hint = "a manifest is a mapping with version, type: DeclarativeSource, check and streams"
        raise MistakeError(f"{name}:1:1: not a low-code manifest, which has streams", hint, code="bad-manifest")
    for place, component in _custom(node):
        message = f"{name}{place}: custom Python component {component} cannot be run from a manifest"
        raise MistakeError(message, _INSTEAD, code="bad-manifest")
    return found


def _is_list(found: Mapping[str, Any], key: str) -> bool:
    return isinstance(found.get(key), list) and bool(found[key])


def _custom(root: yaml.Node | None) -> Iterator[tuple[str, str]]:
    """Yield place and name of each component that is Python code."""
    for node in _mappings(root):
        texts = {key.value: value for key, value in node.value if isinstance(value, yaml.ScalarNode)}
        kind, named = texts.get("type"), texts.get("class_name")
        # a property of a schema may have that name too, and no dotted text for its value
        if named is not None and (_DOTTED.fullmatch(named.value) or (kind and kind.value.startswith("Custom"))):
            yield _place(named), str(named.value)


def _mappings(root: yaml.Node | None, without: Sequence[str] = ()) -> Iterator[yaml.MappingNode]:
    """Yield the mappings in a document, in its order, but for those below some keys; anchors are followed once."""
    waiting, seen = [root] if root else [], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += reversed(node.value)
        elif isinstance(node, yaml.MappingNode):
            waiting += [value for key, value in reversed(node.value) if key.value not in without]
            yield node


def _place(node: yaml.Node) -> str:
    mark = node.start_mark
    return f":{mark.line + 1}:{mark.column + 1}"


def secrets_in(project: Path, name: str) -> Sequence[MistakeError]:
    """Return the secrets that a manifest of the project has, by the rules for a config: `manifest_of` has read it."""
    file = (project / name).resolve()
    about = file.stat()
    return _secrets(file, name, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=64)
def _secrets(file: Path, name: str, *_: int) -> tuple[MistakeError, ...]:
    found = list[MistakeError]()
    for node in _mappings(_Loader(content_of(file)).get_single_node(), _OF_SETTINGS):
        texts = {str(key.value): value for key, value in node.value if isinstance(value, yaml.ScalarNode)}
        named = secrets.named_in({key: value.value for key, value in texts.items()})
        for key, value in texts.items():
            called = named if key == "value" and named else key
            user = texts["username"].value if "username" in texts else ""
            if _is_secret(called, str(value.value), str(user)):
                message = f'{name}{_place(value)}: "{called}" contains a secret'
                found.append(MistakeError(message, _SETTING, code="secret"))
    return tuple(found)


def _is_secret(name: str, text: str, user: str) -> bool:
    plain = _TEMPLATE.sub("", text)
    if plain != text:
        # what the template gives comes from the settings; what is next to it may be a secret by itself
        return any(map(secrets.looks_secret, plain.split()))
    if name in _PROSE or text.startswith(_REFERENCES):
        return False
    # where an API takes its key for the user, the password is a fixed word
    fixed = name == "password" and _TEMPLATE.search(user) and _WORD.fullmatch(text)
    return not fixed and secrets.is_secret(name, text)


def _near(project: Path, name: str) -> str:
    folder = (project / name).parent
    try:
        names = [file.name for file in folder.iterdir() if file.suffix in SUFFIXES]
    except OSError:
        return "write its path from the project's folder, like connectors/shop.yaml"
    return near_name(Path(name).name, names) or f"the folder {Path(name).parent} has no manifest"

"""Jobs of a manifest, which a request starts and others poll, as `job`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from elt_factory.importing.manifest.address import address_of
from elt_factory.importing.manifest.saying import STEP, Scope, UnsaidError, path, steps
from elt_factory.importing.manifest.tree import Node

KIND = "AsyncRetriever"
_TARGET = re.compile(r"\s*\{\{\s*download_target\s*\}\}\s*")
_CANCELS = ("DELETE", "PATCH", "POST", "PUT")
_NAMES = {"creation_response": "job.id", "polling_response": "job.file"}
_ANSWER = re.compile(rf"\{{\{{-?\s*(creation_response|polling_response)((?:{STEP})+)\s*-?\}}\}}")


def as_simple(retriever: Node) -> Node:
    """Return the retriever of a job as one that asks for its results with the request that starts it."""
    kept = {key: retriever[key] for key in ("partition_router", "record_selector") if key in retriever}
    extractor = retriever.get("download_extractor")
    if extractor:
        kept["record_selector"] = {**(kept.get("record_selector") or {}), "extractor": extractor}
    requester = retriever.get("creation_requester") or {}
    return {**kept, "requester": requester, "decoder": retriever.get("download_decoder") or {}}


def job_of(retriever: Node, scope: Scope, notes: list[str]) -> dict[str, Any]:
    """Return the `job` of a retriever.

    Args:
        retriever: The retriever.
        scope: What its templates may say.
        notes: Takes what a person has to look at.

    Raises:
        UnsaidError: it is code of its own, or its id or its results are found in a way that no config says.
    """
    named: dict[str, str] = {}
    polling, statuses = retriever.get("polling_requester") or {}, retriever.get("status_mapping") or {}
    creation = retriever.get("creation_requester") or {}
    if str(polling.get("type", "")).startswith("Custom"):
        raise UnsaidError("a job that is polled by code of its own")
    if polling.get("authenticator") != creation.get("authenticator"):
        raise UnsaidError("a job that is polled with other credentials")
    _check_plain(polling, "a job that is polled")
    found: dict[str, Any] = {"path": _asked(polling, scope, named)}
    if str(polling.get("http_method") or "GET").upper() == "POST":
        found["json"] = _filled(polling.get("request_body_json") or {}, scope, named)
    found["status"] = _path_of(retriever.get("status_extractor") or {})
    found["done"] = list(statuses.get("completed") or [])
    failed = [*(statuses.get("failed") or []), *(statuses.get("timeout") or [])]
    found |= {"failed": failed} if failed else {}
    found |= _results(retriever, scope, named)
    found |= _cancelled(retriever, scope, named, notes)
    if "job.id" not in named:
        raise UnsaidError("a job without an id")
    return {"id": named["job.id"], **found, **({"file": named["job.file"]} if "job.file" in named else {})}


def _results(retriever: Node, scope: Scope, named: dict[str, str]) -> dict[str, Any]:
    """Return where the results are: links in a response, or a path of their own."""
    download, links = retriever.get("download_requester") or {}, retriever.get("download_target_requester")
    target = retriever.get("download_target_extractor")
    creation = retriever.get("creation_requester") or {}
    for one, what in ((download, "results that are downloaded"), (links or {}, "links to results that are asked for")):
        _check_plain(one, what)
        if str(one.get("http_method") or "GET").upper() != "GET":
            raise UnsaidError(f"{what} with {one['http_method']}")
        auth = one.get("authenticator") or {}
        if auth.get("type", "NoAuth") != "NoAuth" and auth != creation.get("authenticator"):
            raise UnsaidError(f"{what} with other credentials")
    if target and (download.get("request_parameters") or {}):
        raise UnsaidError("results that are downloaded with parameters of their own")
    if not target:
        return {"download": _asked(download, scope, named)}
    texts = [str(download[key]) for key in ("url", "url_base", "path") if download.get(key)]
    if not any(_TARGET.fullmatch(text) for text in texts):
        raise UnsaidError(f"results at a computed address: {' '.join(texts)[:60]}")
    return {"result": _path_of(target), **({"links": _asked(links, scope, named)} if links else {})}


def _check_plain(requester: Node, what: str) -> None:
    """Refuse a request of a job with headers of its own; the type of a body that a GET does not have is none."""
    headers = requester.get("request_headers") or {}
    names = [str(name) for name in headers] if isinstance(headers, Mapping) else [str(headers)[:60]]
    if str(requester.get("http_method") or "GET").upper() == "GET":
        names = [name for name in names if name.casefold() not in ("content-type", "content-length")]
    if names:
        raise UnsaidError(f"{what} with headers of its own: {', '.join(names)}")


def _cancelled(retriever: Node, scope: Scope, named: dict[str, str], notes: list[str]) -> dict[str, Any]:
    """Return how a job is cancelled; what else is done to jobs is noted."""
    if retriever.get("delete_requester"):
        notes.append("delete_requester: a job whose results are read is not deleted here")
    aborting = retriever.get("abort_requester") or {}
    if not aborting:
        return {}
    method = str(aborting.get("http_method") or "GET").upper()
    more = [key for key in ("request_headers", "request_body", "request_body_data") if aborting.get(key)]
    document = aborting.get("request_body_json") or {}
    plain = isinstance(document, Mapping) and "{{" not in str(document)
    if method not in _CANCELS or more or not plain or str(aborting.get("type", "")).startswith("Custom"):
        notes.append("abort_requester is not convertible: write cancel: with the request that cancels a job")
        return {}
    try:
        found = {"cancel": f"{method} {_asked(aborting, scope, named)}"}
    except UnsaidError as error:
        notes.append(f"abort_requester is not convertible: {error}; write cancel:")
        return {}
    return found | ({"cancel_json": dict(document)} if document else {})


def _path_of(extractor: Node) -> str:
    parts = [str(part) for part in extractor.get("field_path") or []]
    if str(extractor.get("type", "")).startswith("Custom") or not parts or any("{{" in part for part in parts):
        raise UnsaidError("a job whose status or result is found by code of its own")
    return ".".join("[*]" if part == "*" else path([part]) for part in parts).replace(".[*]", "[*]")


def _asked(requester: Node, scope: Scope, named: dict[str, str]) -> str:
    """Return the path of a request for a job, with its query."""
    address = address_of(requester)
    given = requester.get("request_parameters") or {}
    if not isinstance(given, Mapping):
        raise UnsaidError("parameters of a job that are computed")
    query = [address.query, *(f"{name}={value}" for name, value in given.items())]
    text = "&".join(part for part in query if part)
    return str(_filled(address.path + (f"?{text}" if text else ""), scope, named))


def _filled(value: Any, scope: Scope, named: dict[str, str]) -> Any:
    """Return a text, or JSON, in which the job's own answers are named as a config names them."""
    if isinstance(value, Mapping):
        return {name: _filled(below, scope, named) for name, below in value.items()}
    if isinstance(value, list):
        return [_filled(below, scope, named) for below in value]
    if not isinstance(value, str):
        return value
    parts = _ANSWER.split(value)
    # of each match: the text before it, which answer, its way, and the groups of the last step
    size = _ANSWER.groups + 1
    texts = [scope.text(text) for text in parts[::size]]
    for number, (which, way) in enumerate(zip(parts[1::size], parts[2::size], strict=True)):
        name, place = _NAMES[which], path(steps(way))
        if named.setdefault(name, place) != place:
            raise UnsaidError(f"a job with more than one id: {named[name]}, {place}")
        texts[number] += f"{{{{ {name} }}}}"
    return "".join(texts)

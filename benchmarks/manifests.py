"""Count which streams of public low-code manifests the language of JSON APIs can say, and what keeps the others.

    python benchmarks/manifests.py FOLDER

FOLDER has files manifest.yaml, at any depth. A connector counts when all of its streams do. What a manifest leaves to
code of its own counts as something that cannot be said, but for the classes in `manifests_code.py`, whose code was read
and does what YAML says. Of several kinds of credentials one is enough: its user chooses. Transformations of records are
dbt's, and are not looked at, in code neither.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from manifests_code import READ

# a way into an answer, its headers or its last record
_STEP = r"""(?:\.\w+|\[\s*['"][^'"]+['"]\s*\]|\.get\(\s*['"][^'"]+['"](?:\s*,\s*[^()]*)?\)|\[-1\])"""
_ONE_WAY = rf"\(?(?:response|headers|last_record|last_records?\[-1\]){_STEP}*\)?"
# which of several it is depends on the endpoint: a paginator is of a table
_WAY = rf"{_ONE_WAY}(?:\s+or\s+{_ONE_WAY})*"
_NOTHING = r"""(?:none|null|undefined|false|''|""|\{\}|\[\])"""
_OR_NOTHING = rf"(?:\s*\|\s*(?:default\(\w*\)|tojson\(\))|\s+if\s+.+?(?:\s+else\s+{_NOTHING})?)?"
_CURSORS = (
    rf"{_WAY}{_OR_NOTHING}",
    # the next page is the one after this one: offset, page_number
    rf"{_WAY}(?:\s*\|\s*int)?\s*\+\s*(?:1|{_WAY})",
    # a variable of GraphQL, written as text
    rf"'\{{[\w\s\": {{,]*\"' \+ {_WAY} \+ '\"\}}+'(?:\s+if\s+.+)?",
    # a part of a link that can be followed as it is
    r".*(?:nextLink|Link|next).*(?:regex_search|split)\(.*",
)
# a part of an end: nothing there, a flag, a short page, the last of a number
_ENDS = (
    rf"(?:not\s+)?{_WAY}(?:\s*(?:is|==|!=)\s*(?:not\s+)?(?:{_NOTHING}|defined|true|\d+|['\"]\w*['\"]))?",
    rf"(?:not\s+)?['\"][\w=]+['\"]\s+(?:not\s+)?in\s+{_WAY}",
    rf"(?:last_page_size|{_WAY}\s*(?:\|\s*length)?)\s*(?:<|==|<=)\s*(?:[\w'\"\[\].]+|{_WAY})",
    rf"{_WAY}\s*\+\s*{_WAY}\s*>=\s*{_WAY}",
    r"not\s+\(?headers.*rel=.*",
    r"not\s+headers\.get\(.*",
    r"""'rel="next"'\s+not\s+in\s+headers\b.*""",
)
_ANSWERS = (
    r"['\"][^'\"]*['\"]\s+in\s+.*",
    rf"(?:not\s+)?{_WAY}(?:\s*(?:is|==|!=)\s*(?:{_NOTHING}|true|\d+|(['\"]).*?\1))?",
    # a body that repeats its status
    rf"response\.status\s*==\s*\d+\s+and\s+{_ONE_WAY}\s*==\s*(['\"]).*?\1",
)
_METHODS = ("GET", "POST")
_JSON = ("JsonDecoder",)
# one file for each response: `format`
_FILES = ("XmlDecoder", "JsonlDecoder", "CsvDecoder", "GzipDecoder", "ZipfileDecoder", "IterableDecoder")
_RUN = ("request_parameter", "header", "body_json", "body_data")

_CONNECTOR = "its connector"
_CODE = "code of its own"

Node = Mapping[str, Any]


def _is_unread(node: Any) -> bool:
    """Whether a component is code of which it is not known that YAML says the same."""
    given = node if isinstance(node, dict) else {}
    if not str(given.get("type", "")).startswith("Custom"):
        return False
    return (given.get(_CONNECTOR), str(given.get("class_name", "")).strip().rsplit(".", 1)[-1]) not in READ


def resolved(root: Any, node: Any, seen: tuple[str, ...] = ()) -> Any:
    """Return a node with what its references lead to."""
    if isinstance(node, str) and node.startswith("#/"):
        return resolved(root, _found(root, node), (*seen, node)) if node not in seen else {}
    if isinstance(node, list):
        return [resolved(root, below, seen) for below in node]
    if not isinstance(node, dict):
        return node
    own = {key: resolved(root, below, seen) for key, below in node.items() if key != "$ref"}
    base = resolved(root, node["$ref"], seen) if "$ref" in node else {}
    return {**base, **own} if isinstance(base, dict) else base


def _found(root: Any, reference: str) -> Any:
    for part in reference[2:].split("/"):
        root = root[int(part)] if isinstance(root, list) else (root or {}).get(part)
    return root


def blocks(stream: Node) -> Iterator[str]:
    """Yield what of a stream cannot be said."""
    if stream.get("type") == "StateDelegatingStream":
        yield "two ways to read one stream"
        stream = stream.get("full_refresh_stream") or {}
    retriever = stream.get("retriever") or {}
    kind = retriever.get("type", "SimpleRetriever")
    if kind == "AsyncRetriever":
        yield from _job(retriever)
        return
    if kind != "SimpleRetriever":
        yield "code of its own: retriever"
        return
    yield from _requester(retriever.get("requester") or {})
    yield from _paginator(retriever.get("paginator") or {})
    yield from _routers(retriever.get("partition_router"))
    yield from _selector(retriever.get("record_selector") or {})
    if _is_unread(stream.get("incremental_sync")):
        yield "code of its own: cursor"
    yield from _decoder(retriever.get("decoder") or {}, paged=bool(_strategy(retriever)))


def _strategy(retriever: Node) -> Node:
    return (retriever.get("paginator") or {}).get("pagination_strategy") or {}


def _decoder(decoder: Node, *, paged: bool = False) -> Iterator[str]:
    kind = decoder.get("type", "JsonDecoder")
    if kind.startswith("Custom"):
        if _is_unread(decoder):
            yield "code of its own: format"
    elif kind not in (*_JSON, *_FILES):
        yield f"answers in another format ({kind})"
    elif kind in _FILES and paged:
        yield f"pages of files ({kind})"


def _job(retriever: Node) -> Iterator[str]:
    for name in ("creation_requester", "polling_requester", "download_target_requester", "download_requester"):
        yield from _requester(retriever.get(name) or {})
    yield from _routers(retriever.get("partition_router"))
    yield from _selector(retriever.get("record_selector") or {})
    yield from _decoder(retriever.get("download_decoder") or {})


def _requester(requester: Node) -> Iterator[str]:
    if _is_unread(requester):
        yield "code of its own: request"
    if str(requester.get("http_method", "GET")).upper() not in _METHODS:
        yield f"method {requester['http_method']}"
    parameters = requester.get("request_parameters") or {}
    if isinstance(parameters, dict) and any(isinstance(value, dict) for value in parameters.values()):
        yield "columns asked for in chunks"
    yield from _auth(requester.get("authenticator") or {})
    yield from _errors(requester.get("error_handler") or {})


def _auth(auth: Node) -> Iterator[str]:
    kind = auth.get("type", "NoAuth")
    if kind == "SelectiveAuthenticator":
        ways = [[*_auth(one)] for one in (auth.get("authenticators") or {}).values()]
        yield from min(ways, key=len, default=[])
    elif _is_unread(auth):
        yield "code of its own: credentials"
    elif kind == "ApiKeyAuthenticator":
        place = (auth.get("inject_into") or {}).get("inject_into", "header")
        # in a body it is {{ connection.password }}
        if place not in ("header", "request_parameter", "body_data", "body_json"):
            yield f"a key in {place}"


def _errors(handler: Node) -> Iterator[str]:
    if _is_unread(handler):
        yield "code of its own: errors"
    for below in handler.get("error_handlers") or []:
        yield from _errors(below)
    for rule in handler.get("response_filters") or []:
        predicate = _expression(rule.get("predicate"))
        if predicate and not _is_one_of(predicate, _ANSWERS):
            yield "a condition on answers"
    if any(map(_is_unread, handler.get("backoff_strategies") or [])):
        yield "code of its own: waiting"


def _paginator(paginator: Node) -> Iterator[str]:
    strategy = paginator.get("pagination_strategy") or {}
    kind = strategy.get("type", "")
    if _is_unread(strategy) or _is_unread(paginator):
        yield "code of its own: pages"
    option = paginator.get("page_token_option") or {}
    if option.get("type") != "RequestPath" and option.get("inject_into") == "header":
        yield "a page in a header"
    if kind != "CursorPagination":
        return
    cursor, stop = _expression(strategy.get("cursor_value")), _expression(strategy.get("stop_condition"))
    if not _is_one_of(cursor, _CURSORS):
        yield "a cursor that is computed"
    if stop and not all(_is_one_of(part, _ENDS) for part in re.split(r"\s+(?:or|and)\s+", stop)):
        yield "an end that is computed"


def _routers(routers: Any) -> Iterator[str]:
    found = routers if isinstance(routers, list) else [routers] if routers else []
    if any(map(_is_unread, found)):
        yield "code of its own: partitions"
    # combinations, several parents, groups, keys inside values: a query over what the run has landed
    for router in found:
        below = router.get("underlying_partition_router") or router
        for parent in below.get("parent_stream_configs") or []:
            yield from (f"its parent: {block}" for block in blocks(parent.get("stream") or {}))


def _selector(selector: Node) -> Iterator[str]:
    extractor = selector.get("extractor") or {}
    if _is_unread(extractor):
        yield "code of its own: records"
    # what the manifest or its user gives is known when a config is written
    if any(
        re.search(r"\{\{.*\b(stream_\w+|record|response)\b", str(step)) for step in extractor.get("field_path") or []
    ):
        yield "records at a computed place"
    kept = selector.get("record_filter") or {}
    if _is_unread(kept):
        yield "code of its own: filter"
    elif "stream_partition" in str(kept.get("condition")) or "stream_slice" in str(kept.get("condition")):
        yield "a filter by the parent"


def _is_one_of(text: str, patterns: Sequence[str]) -> bool:
    return any(re.fullmatch(pattern, text.strip(), re.IGNORECASE | re.DOTALL) for pattern in patterns)


def _expression(text: Any) -> str:
    """Return what is inside of the braces of a template; any other text as it is."""
    found = re.fullmatch(r"\s*\{\{-?\s*(.*?)\s*-?\}\}\s*", str(text or ""), re.DOTALL)
    return found[1] if found else str(text or "")


def _connector_of(file: Path) -> str:
    return next((part for part in file.parts if part.startswith("source-")), file.parent.name)


def _named(node: Any, connector: str) -> Any:
    """Return a node in which each class says of which connector it is: names like CustomAuthenticator are no one's."""
    if isinstance(node, list):
        return [_named(below, connector) for below in node]
    if not isinstance(node, dict):
        return node
    own = {_CONNECTOR: connector} if "class_name" in node else {}
    return {**{key: _named(below, connector) for key, below in node.items()}, **own}


def _is_changed_by_code(stream: Node) -> bool:
    return any(str(step.get("type", "")).startswith("Custom") for step in stream.get("transformations") or [])


def _own(block: str) -> str:
    return block.rsplit("its parent: ", 1)[-1]


def main(folder: Path) -> None:
    """Print the counts."""
    files = sorted(folder.rglob("manifest.yaml"))
    streams: Counter[str] = Counter()
    connectors: Counter[str] = Counter()
    said, without_code, in_code = [0, 0, 0], 0, 0
    for file in files:
        root = _named(yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader), _connector_of(file))
        found = [set(blocks(resolved(root, stream))) for stream in root.get("streams") or []]
        streams.update(_own(block) for one in found for block in one)
        connectors.update({_own(block) for one in found for block in one})
        said[0] += not any(found)
        said[1] += sum(not one for one in found)
        said[2] += len(found)
        changed = [_is_changed_by_code(resolved(root, stream)) for stream in root.get("streams") or []]
        in_code += sum(by_code and not one for by_code, one in zip(changed, found, strict=True))
        without_code += sum(not any(_own(block).startswith("code of its own") for block in one) for one in found)
    print(f"connectors {said[0]} of {len(files)} ({said[0] / len(files):.1%})")
    print(f"streams    {said[1]} of {said[2]} ({said[1] / said[2]:.1%})")
    print(f"of them with transformations in code {in_code}")
    print(f"of streams without code of their own {said[1] / without_code:.1%}")
    for block, count in connectors.most_common():
        print(f"{count:5} connectors {streams[block]:5} streams  {block}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Error handlers of a manifest as `answers`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from elt_factory.importing.manifest.saying import UnsaidError, inside, path, way
from elt_factory.importing.manifest.tree import Node

_DO = {"IGNORE": "skip", "SUCCESS": "skip", "RETRY": "retry", "RATE_LIMITED": "retry", "FAIL": "fail"}
# what is so without a word: a 401 fetches a new token, 429 and 5xx are tried again, other errors fail
_USUAL = {"retry": (429, *range(500, 600)), "fail": (*range(400, 429),)}


def answers_of(node: Node) -> list[dict[str, Any]]:
    """Return what answers mean that would mean something else by default.

    Raises:
        UnsaidError: it is code of its own, or a condition is computed.
    """
    if str(node.get("type", "")).startswith("Custom"):
        raise UnsaidError("errors by code of its own")
    found = [rule for below in node.get("error_handlers") or [] for rule in answers_of(below)]
    until = _until(node)
    for rule in node.get("response_filters") or []:
        found += _rules(rule, until)
    if until and not any(one["do"] == "wait" for one in found):
        found.append({"status": 429, "do": "wait", "until": until})
    return found


def _until(node: Node) -> str | None:
    strategies = node.get("backoff_strategies") or []
    if any(str(one.get("type", "")).startswith("Custom") for one in strategies):
        raise UnsaidError("pauses by code of its own")
    named = [str(one.get("header")) for one in strategies if "Header" in str(one.get("type"))]
    return next((name for name in named if name.lower() != "retry-after" and "{{" not in name), None)


def _rules(rule: Node, until: str | None) -> Iterator[dict[str, Any]]:
    action = str(rule.get("action") or "FAIL")
    do = "wait" if action == "RATE_LIMITED" and until else _DO.get(action)
    if do is None:
        return
    made = _statuses(rule, do)
    if rule.get("error_message_contains"):
        made["contains"] = str(rule["error_message_contains"])
    if rule.get("predicate"):
        made |= _condition(inside(rule["predicate"]))
    if made:
        yield {**made, "do": do, **({"until": until} if do == "wait" else {})}


def _statuses(rule: Node, do: str) -> dict[str, Any]:
    """Return the statuses of a rule: of one that asks for nothing else, those that would mean something else."""
    codes = sorted(int(code) for code in rule.get("http_codes") or [])
    if not (rule.get("predicate") or rule.get("error_message_contains")):
        codes = [code for code in codes if code not in _USUAL.get(do, ())]
    return {"status": codes[0] if len(codes) == 1 else codes} if codes else {}


def _condition(expression: str) -> dict[str, Any]:
    """Return a condition on an answer.

    Raises:
        UnsaidError: it is computed.
    """
    status = re.fullmatch(r"response\.status\s*==\s*(\d+)\s+and\s+(.+)", expression)
    if status:
        # a body that repeats its status
        return {"status": int(status[1]), **_condition(status[2])}
    text = re.fullmatch(r"""(['"])([^'"]+)\1\s+in\s+(?:response.*)""", expression)
    if text:
        return {"contains": text[2]}
    compared = re.fullmatch(r"""(.+?)\s*(?:==|is)\s*(?:(['"])(.*?)\2|(true|True|false|False|\d+))""", expression)
    if compared and (leads := way(compared[1])) is not None and leads[0] == "response":
        return {"path": path(leads[1]), "equals": _value(compared[3], compared[4])}
    leads = way(expression)
    if leads is not None and leads[0] == "response":
        return {"path": path(leads[1])}
    raise UnsaidError(f"a condition on answers: {expression[:80]}")


def _value(text: str | None, plain: str | None) -> str | int | bool:
    if text is not None:
        return text
    return int(str(plain)) if str(plain).isdigit() else str(plain).lower() == "true"

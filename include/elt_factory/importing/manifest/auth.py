"""Credentials of a manifest: how a config sends them, and which field of the connection holds which setting."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from elt_factory.importing.manifest.saying import UnsaidError, inside
from elt_factory.importing.manifest.tree import Node

Auth = dict[str, Any]
_BODIES = ("body_data", "body_json")
KEY_OF_CONNECTION = "{{ connection.password }}"


def auth_of(node: Node, held: dict[str, str]) -> Auth:
    """Return the `auth` of a config; None in a manifest sends nothing.

    Args:
        node: The authenticator.
        held: Takes for each field of the connection what belongs there.

    Raises:
        UnsaidError: it is code of its own, or sends credentials in another way.
    """
    kind = str(node.get("type") or "NoAuth")
    if kind == "SelectiveAuthenticator":
        choices = node.get("authenticators")
        first: Node = next(iter(choices.values()), {}) if isinstance(choices, Mapping) else {}
        return auth_of(first, held)
    made = _KINDS.get(kind)
    if made is None:
        raise UnsaidError("credentials by code of its own" if kind.startswith("Custom") else f"credentials: {kind}")
    return made(node, held)


def key_in_body(node: Node) -> Node | None:
    """Return where in a body the key of a connector is sent; None where it is not sent in one."""
    option: Node = node.get("inject_into") or {}
    return option if node.get("type") == "ApiKeyAuthenticator" and option.get("inject_into") in _BODIES else None


def _none(_: Node, __: dict[str, str]) -> Auth:
    return {"type": "none"}


def _bearer(node: Node, held: dict[str, str]) -> Auth:
    held["password"] = _setting(node.get("api_token"))
    return {"type": "bearer"}


def _basic(node: Node, held: dict[str, str]) -> Auth:
    held["login"] = _setting(node.get("username"))
    held["password"] = _setting(node.get("password"))
    return {"type": "basic"}


def _api_key(node: Node, held: dict[str, str]) -> Auth:
    prefix, setting = _prefixed(node.get("api_token"))
    held["password"] = setting
    option = node.get("inject_into") or {}
    place = option.get("inject_into", "header")
    name = str(option.get("field_name") or node.get("header") or "Authorization")
    if place == "request_parameter":
        if prefix:
            raise UnsaidError("a key with a word before it, as a parameter")
        return {"type": "api_key", "param": name}
    if place in _BODIES and not prefix:
        # the request sends it: see key_in_body
        return {"type": "none"}
    if place != "header":
        raise UnsaidError(f"a key in {place}")
    if name.lower() == "authorization" and prefix == "Bearer ":
        return {"type": "bearer"}
    return {"type": "api_key", "header": name, **({"prefix": prefix} if prefix else {})}


def _oauth(node: Node, held: dict[str, str]) -> Auth:
    held["login"] = _setting(node.get("client_id"))
    held["password"] = _setting(node.get("client_secret"))
    if node.get("refresh_token"):
        held["extra.refresh_token"] = _setting(node["refresh_token"])
    made: Auth = {"type": "oauth2", **_token_server(str(node.get("token_refresh_endpoint") or ""))}
    if node.get("access_token_name") not in (None, "access_token"):
        made["token"] = str(node["access_token_name"])
    given = node.get("refresh_request_body")
    if isinstance(given, Mapping) and given:
        made["params"] = {str(name): _credential(value, held) for name, value in given.items()}
    scopes = node.get("scopes")
    if scopes:
        made["scope"] = " ".join(scopes) if isinstance(scopes, list) else str(scopes)
    return made


def _token_server(address: str) -> Auth:
    """Return where tokens come from: below the address of the connection, or at one of its own.

    What a setting says of another address is left for a person to fill in.
    """
    below = re.fullmatch(r"\{\{\s*config[^{}]*\}\}(/[^{}]*)", address.strip())
    if below:
        return {"token_path": below[1]}
    filled = re.sub(r"\{\{(.*?)\}\}", lambda found: _setting(found[0]).replace("_", "-"), address.strip())
    if not re.fullmatch(r"https://[^\s{}]+", filled):
        raise UnsaidError(f"a token server whose address is computed: {address[:80]}")
    return {"token_url": filled}


def _session(node: Node, held: dict[str, str]) -> Auth:
    login, sent = node.get("login_requester") or {}, node.get("request_authentication") or {}
    made: Auth = {"type": "session", "path": _login_path(login)}
    for key, ours in (("request_body_json", "json"), ("request_body_data", "form")):
        body = login.get(key)
        if isinstance(body, Mapping) and body:
            made[ours] = {name: _credential(value, held) for name, value in body.items()}
    found = node.get("session_token_path")
    made["token"] = ".".join(found) if isinstance(found, list) else str(found or "token")
    option = sent.get("inject_into") or {}
    if str(sent.get("type")) == "Bearer":
        return made
    if option.get("inject_into") != "header":
        raise UnsaidError("a session's token that is not in a header")
    return {**made, "header": str(option.get("field_name")), "prefix": ""}


def _login_path(login: Node) -> str:
    address = str(login.get("path") or login.get("url") or login.get("url_base") or "")
    found = re.sub(r"^(?:https?://[^/]+|\{\{[^}]*\}\}[^/]*)", "", address)
    if "{{" in found:
        raise UnsaidError("a login at a computed address")
    return "/" + found.strip("/")


def _credential(value: Any, held: dict[str, str]) -> Any:
    text = str(value)
    if "{{" not in text:
        return value
    name = _setting(text)
    secret = any(sign in name.lower() for sign in ("pass", "secret", "token", "key"))
    place = "password" if secret else "login"
    if held.get(place, name) != name:
        place = "extra." + re.sub(r"\W+", "_", name.lower())
    held[place] = name
    return f"{{{{ connection.{place} }}}}"


def _jwt(node: Node, held: dict[str, str]) -> Auth:
    held["password"] = _setting(node.get("secret_key"))
    payload = {**(node.get("jwt_payload") or {}), **(node.get("additional_jwt_payload") or {})}
    claims = {key: _claim(value, held) for key, value in payload.items() if key not in ("iat", "exp", "nbf")}
    return {"type": "jwt", "algorithm": str(node.get("algorithm", "HS256")), **({"claims": claims} if claims else {})}


def _claim(value: Any, held: dict[str, str]) -> Any:
    if "{{" not in str(value):
        return value
    held["login"] = _setting(value)
    return "{{ connection.login }}"


_KINDS = {
    "NoAuth": _none,
    "BearerAuthenticator": _bearer,
    "BasicHttpAuthenticator": _basic,
    "ApiKeyAuthenticator": _api_key,
    "OAuthAuthenticator": _oauth,
    "SessionTokenAuthenticator": _session,
    "JwtAuthenticator": _jwt,
}


def _setting(template: Any) -> str:
    """Return the name of the setting in a template, for people; another text as it is."""
    inner = inside(template)
    found = re.search(r"config(?:\.(\w+)|\[\s*['\"](\w+)['\"]\s*\]|\.get\(\s*['\"](\w+)['\"])", inner)
    names = re.findall(r"(?:\.|\[\s*['\"]|\.get\(\s*['\"])(\w+)", inner)
    return (names[-1] if len(names) > 1 else next(part for part in found.groups() if part)) if found else inner[:80]


def _prefixed(template: Any) -> tuple[str, str]:
    """Return the words before a key, and the setting that is the key."""
    text = str(template or "")
    before, brace, _ = text.partition("{{")
    inner = inside(text)
    joined = re.fullmatch(r"""(['"])([^'"]*)\1\s*[+~]\s*(config.*)""", inner)
    if joined:
        return joined[2], _setting("{{ " + joined[3] + " }}")
    return (before, _setting(brace + text.partition("{{")[2])) if brace else ("", _setting(text))

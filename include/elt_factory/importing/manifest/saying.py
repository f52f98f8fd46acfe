"""Expressions of a manifest in the words of a config. What has none is an UnsaidError with the reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

OF_EXTRA = "connection.extra."
_BRACES = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_NOTHING = r"""(?:none|null|undefined|false|False|None|''|""|\{\}|\[\])"""
STEP = r"""(?:\.(\w+)(?!\w*\()|\[\s*['"]([^'"]+)['"]\s*\]|\.get\(\s*['"]([^'"]+)['"]\s*(?:,[^()]*)?\))"""
_CONFIG = re.compile(rf"config((?:{STEP})+)")
_LITERAL = re.compile(r"""(['"])(?P<text>(?:(?!\1).)*)\1|-?\d+(\.\d+)?|true|True|false|False""")
_JOINED = re.compile(rf"""(['"])(?P<sign>.*?)\1\.join\(\s*config(?P<way>(?:{STEP})+)\s*(?:or\s+\[\]\s*)?\)""")
_GLUED = re.compile(r"""(['"])(?P<text>[^'"]*)\1\s*[~+]\s*(?P<rest>config.+)""")
_OR_TEXT = re.compile(rf"""config(?P<way>(?:{STEP})+)\s+or\s+(['"])(?P<text>[^'"]*)\5""")
_WAY = re.compile(rf"(response|last_records?\[-1\]|last_record|headers|record)((?:{STEP})+)")
_END_OF_WINDOW = (
    r"(?:stream_interval|stream_slice)(?:\.cursor_slice)?(?:\.get\(\s*|[.\[])['\"]?{0}_(?:time|date)['\"]?"
    r"(?:\s*,[^()]*)?[\])]?(?:\s+if\s+stream_.*|\s+or\s+.*)?"
)
_TIMES = {end: re.compile(_END_OF_WINDOW.format(end)) for end in ("start", "end")}
_FORM = r"\(?\s*(?:format\s*=\s*)?['\"](?P<form>[^'\"]+)['\"]\s*(?:,.*)?\)"
_CALLS = (
    re.compile(rf"format_datetime\(\s*(?P<time>.+?)\s*,\s*{_FORM}"),
    re.compile(r"timestamp\(\s*(?P<time>.+?)\s*\)(?:\s*\|\s*int)?"),
    re.compile(rf"(?:str_to_datetime\(\s*)?(?P<time>now_utc\(\)|today_utc\(\)|[^()]+?)\)?\.strftime{_FORM}"),
    re.compile(r"(?P<time>.+?)\s*\|\s*int"),
)
_NOW = re.compile(r"(?:.*\selse\s+|.*\sor\s+)?(?:now_utc|today_utc|now_local|today)\(\)(?:.*isoformat\(.*\))?")
_PARTITION = re.compile(
    r"stream_(?:partition|slice)(?:\.(?!extra_fields|cursor_slice)(\w+)(?![\w(])|\[\s*['\"](\w+)['\"]\s*\])"
    r"(?!\s*[.\[])"
)
_AN_ID = re.compile(r"(?<!client)(?<!app)(?:^|_|[a-z])(?:id|Id|ID|ids)$")
_STRFTIME = {
    "%Y-%m-%d": "date",
    "%s": "epoch",
    "%ms": "epoch_ms",
}
_ISO = re.compile(r"%Y-%m-%dT%H:%M:%S(?:\.%f|\.%ms|\.%_ms|\.%fZ|\.000)?(?:Z|%z|\+00:00|\+0000)?")


class UnsaidError(Exception):
    """What a manifest says and no config can."""


@dataclass
class Settings:
    """The connector's settings: which are secret, and which a config takes as params, with their values.

    `spec` is the manifest's own description of them.
    """

    spec: Mapping[str, Any]
    params: dict[str, str | int | float | bool] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)  # the secrets, by their names in the connection's extra

    def is_secret(self, name: str) -> bool:
        """Tell whether a setting is a secret, as the manifest says, or as its name does."""
        from elt_factory.config.models.secrets import is_secret

        if _AN_ID.search(name):
            # an id of an account or a company is not a credential, although some manifests hide it from screens
            return False
        return bool(self._about(name).get("airbyte_secret")) or is_secret(name, "x" * 20)

    def param(self, name: str) -> str:
        """Return the param of a setting; its value is the default, an example, or a text that says what it is for.

        A secret is a value of the connection's extra.
        """
        plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "value"
        if self.is_secret(name):
            self.held[plain] = name
            return f"{OF_EXTRA}{plain}"
        given = self.example(name)
        if not isinstance(given, str | int | float | bool):
            given = {"integer": 0, "number": 0, "boolean": False}.get(str(self._about(name).get("type")), "TO BE SET")
        self.params[plain] = given
        return f"params.{plain}"

    def is_needed(self, name: str) -> bool:
        """Tell whether a setting has to be there."""
        return _is_required(self.spec, name)

    def example(self, name: str) -> Any:
        """Return the default of a setting, or an example of it."""
        about = self._about(name)
        examples = about.get("examples") or [None]
        return about.get("default", examples[0] if isinstance(examples, list) else examples)

    def _about(self, name: str) -> Mapping[str, Any]:
        found = _property(self.spec, name.rpartition(".")[2])
        return found if isinstance(found, Mapping) else {}


def _is_required(spec: Any, name: str) -> bool:
    if isinstance(spec, Mapping):
        return name in (spec.get("required") or []) or any(_is_required(below, name) for below in spec.values())
    return isinstance(spec, list) and any(_is_required(below, name) for below in spec)


def _property(spec: Any, name: str) -> Any:
    if isinstance(spec, Mapping):
        properties = spec.get("properties")
        if isinstance(properties, Mapping) and name in properties:
            return properties[name]
        for below in spec.values():
            if (found := _property(below, name)) is not None:
                return found
    if isinstance(spec, list):
        for below in spec:
            if (found := _property(below, name)) is not None:
                return found
    return None


@dataclass(frozen=True)
class Scope:
    """What the templates of one stream may use: settings, the names of its partitions, how its times are written."""

    settings: Settings
    partitions: Mapping[str, str] = field(default_factory=dict)
    time_format: str = "%Y-%m-%dT%H:%M:%SZ"

    def text(self, value: Any) -> str:
        """Return a text of a manifest with its templates in our words.

        Raises:
            UnsaidError: one of them is computed in a way that no template here can.
        """
        return _BRACES.sub(lambda found: self._one(found[1]), str(value))

    def plain(self, value: Any) -> Any:
        """Return a value of JSON with the templates of its texts in our words."""
        if isinstance(value, Mapping):
            return {self.text(key): self.plain(below) for key, below in value.items()}
        if isinstance(value, list):
            return [self.plain(below) for below in value]
        return self.text(value) if isinstance(value, str) else value

    def _one(self, expression: str) -> str:
        plain = " ".join(expression.split())
        if (literal := _LITERAL.fullmatch(plain)) is not None:
            return literal["text"] if literal["text"] is not None else plain.lower()
        given = _without_default(plain)
        ways = (self._time(plain), self._date_of_setting(given), self._of_settings(given), self._partition(given))
        said = next((found for found in (*ways, self._time(given)) if found is not None), None)
        if said is None:
            raise UnsaidError(f"a computed value: {plain[:80]}")
        return said

    def _of_settings(self, given: str) -> str | None:
        """Return the params of an expression that settings alone are in."""
        if (found := _JOINED.fullmatch(given)) is not None:
            return self._joined(steps(found["way"])[-1], found["sign"])
        if (found := _GLUED.fullmatch(given)) is not None:
            return found["text"] + self._one(found["rest"])
        if (found := _OR_TEXT.fullmatch(given)) is not None:
            return self._with_value(steps(found["way"])[-1], found["text"])
        found = _CONFIG.fullmatch(re.sub(r"\s*\|\s*lower$", "", given))
        return f"{{{{ {self.settings.param('.'.join(steps(found[1])))} }}}}" if found else None

    def _partition(self, given: str) -> str | None:
        found = _PARTITION.fullmatch(given)
        name = str(found[1] or found[2]) if found else ""
        return f"{{{{ {self.partitions[name]} }}}}" if name in self.partitions else None

    def _joined(self, name: str, sign: str) -> str:
        """Return the param of a setting that is a list, and is sent as one text."""
        values = self.settings.example(name)
        return self._with_value(name, sign.join(map(str, values)) if isinstance(values, list) else "TO BE SET")

    def _with_value(self, name: str, value: str) -> str:
        param = self.settings.param(name)
        if not param.startswith(OF_EXTRA):
            self.settings.params[param.partition(".")[2]] = value
        return f"{{{{ {param} }}}}"

    def _date_of_setting(self, expression: str) -> str | None:
        """Return the param of a setting that is a date, which the manifest writes in a format: its value is so, too."""
        called = re.fullmatch(
            rf"format_datetime\(\s*config((?:{STEP})+)\s*,\s*['\"]([^'\"]+)['\"]\s*(?:,.*)?\)", expression
        )
        if called is None:
            return None
        name = steps(called[1])[-1]
        try:
            day = datetime.fromisoformat(str(self.settings.example(name)))
        except ValueError:
            day = datetime(2024, 1, 1, tzinfo=UTC)
        return self._with_value(name, day.strftime(called.groups()[-1]))

    def _time(self, expression: str) -> str | None:
        """Return an end of the window, written as the manifest does."""
        inner, form = expression, self.time_format
        for pattern in _CALLS:
            if (called := pattern.fullmatch(expression)) is not None:
                given = called.groupdict()
                inner, form = given["time"].strip(), given.get("form") or ("%s" if "timestamp" in expression else form)
                break
        if _NOW.fullmatch(inner):
            return self._written("end", "%Y-%m-%d" if inner == expression and "today" in inner else form)
        return next((self._written(end, form) for end, one in _TIMES.items() if one.fullmatch(inner)), None)

    @staticmethod
    def _written(end: str, form: str) -> str:
        return f"{{{{ window.{end}{time_filter(form)} }}}}"


def time_filter(form: str) -> str:
    """Return the filter of a template that writes a time in a format of strftime."""
    if form in _STRFTIME:
        return f" | {_STRFTIME[form]}"
    if _ISO.fullmatch(form):
        return ""
    if "'" in form or any(sign in form for sign in ("%ms", "%epoch_microseconds", "%_ms")):
        raise UnsaidError(f"times written as {form}")
    return f" | format('{form}')"


def _without_default(expression: str) -> str:
    """Return an expression without what holds where it is empty: nothing is sent there."""
    return re.sub(rf"\s+(?:or\s+{_NOTHING}|if\s+.+?\s+else\s+{_NOTHING})$|\s*\|\s*(?:string|trim)$", "", expression)


def steps(text: str) -> list[str]:
    """Return the steps of a way such as `.a['b'].get('c')`."""
    return [next(part for part in found.groups() if part) for found in re.finditer(STEP, text)]


def way(expression: str) -> tuple[str, list[str]] | None:
    """Return where an expression leads, `response` and the steps below it; None for any that does more than that."""
    inner = expression.strip()
    while inner.startswith("(") and inner.endswith(")"):
        inner = inner[1:-1].strip()
    inner = re.sub(rf"\s*\|\s*(?:default\(\w*\)|tojson(?:\(\))?|int|string)$|\s+or\s+{_NOTHING}$", "", inner)
    inner = re.sub(rf"\s+if\s+.+?(?:\s+else\s+{_NOTHING})?$", "", inner)
    found = _WAY.fullmatch(inner)
    return (found[1].split("[")[0].rstrip("s") if "last" in found[1] else found[1], steps(found[2])) if found else None


def inside(template: Any) -> str:
    """Return what is within the braces of a text that is one template; any other text as it is."""
    found = re.fullmatch(r"\s*\{\{-?\s*(.*?)\s*-?\}\}\s*", str(template or ""), re.DOTALL)
    return " ".join((found[1] if found else str(template or "")).split())


def path(parts: list[str]) -> str:
    """Return steps as a path of a config: a dot within a name is escaped."""
    return ".".join(part.replace(".", "\\.") for part in parts)

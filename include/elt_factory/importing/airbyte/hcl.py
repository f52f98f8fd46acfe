"""Terraform's files as text: blocks with the values that are written in them. Nothing is computed."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from elt_factory.importing.airbyte.said import Computed

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r]+|\#[^\n]*|//[^\n]*|/\*.*?\*/)
    |(?P<heredoc><<-?(?P<mark>[A-Za-z_]\w*)\r?\n(?P<lines>(?:.*?\n)??)[ \t]*(?P=mark)(?=\r?\n|$))
    |(?P<text>"(?:[^"\\$%]|\\.|[$%](?!\{)|[$%]\{(?:[^{}"]|"(?:[^"\\]|\\.)*"|\{[^{}]*\})*\})*")
    |(?P<number>-?\d+(?:\.\d+)?)
    |(?P<name>[A-Za-z_][\w.-]*(?:\[[^\]\n]*\][\w.]*)*)
    |(?P<sign>=>|==|!=|<=|>=|&&|\|\||\.\.\.|[{}\[\]()=:,\n?!<>+*/%.-])
    """,
    re.VERBOSE | re.DOTALL,
)
_WORDS = {"true": True, "false": False, "null": None}
_PASSED_ON = ("jsonencode", "toset", "tolist", "tomap", "nonsensitive")
_CLOSING = {"{": "}", "[": "]", "(": ")"}
_INDEX = re.compile(r'\["([\w-]+)"\]')
_OPENING = re.compile(r"[$%]\{")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


class NotHclError(Exception):
    """A text is not in Terraform's language; the line."""


@dataclass(frozen=True)
class Token:
    """A word of the text, its kind and its place."""

    kind: str
    text: str
    at: int


@dataclass(frozen=True)
class Block:
    """A block: its kind, its labels, and what is in it; blocks within it are values under their kinds."""

    kind: str
    labels: tuple[str, ...]
    body: Mapping[str, Any]


def blocks_in(text: str) -> list[Block]:
    """Return the blocks of a file.

    Raises:
        NotHclError: it is not in Terraform's language.
    """
    reader = _Reader(text)
    found = []
    while reader.past_lines():
        found.append(reader.block())
    return found


def _tokens(text: str) -> Iterator[Token]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise NotHclError(f"line {text.count(chr(10), 0, at) + 1}")
        kind = "heredoc" if match["heredoc"] else match.lastgroup or "sign"
        if kind != "space":
            yield Token(kind, match["lines"].removesuffix("\n") if kind == "heredoc" else match[0], at)
        at = match.end()
    yield Token("end", "", at)


class _Reader:
    """Reads one file, token by token."""

    def __init__(self, text: str) -> None:
        self.text, self.tokens, self.at = text, list(_tokens(text)), 0

    @property
    def next(self) -> Token:
        return self.tokens[self.at]

    def take(self) -> Token:
        token = self.next
        if token.kind == "end":
            raise self.wrong(token)
        self.at += 1
        return token

    def takes(self, sign: str) -> bool:
        found = self.next.kind == "sign" and self.next.text == sign
        self.at += found
        return found

    def past_lines(self, *others: str) -> bool:
        while self.next.text in ("\n", *others) and self.next.kind == "sign":
            self.at += 1
        return self.next.kind != "end"

    def wrong(self, token: Token) -> NotHclError:
        return NotHclError(f"line {self.text.count(chr(10), 0, token.at) + 1}")

    def block(self) -> Block:
        kind = self.take()
        if kind.kind != "name":
            raise self.wrong(kind)
        labels = []
        while self.next.kind in ("text", "name"):
            labels.append(self.take().text.strip('"'))
        if not self.takes("{"):
            raise self.wrong(self.next)
        return Block(kind.text, tuple(labels), self.body())

    def body(self) -> dict[str, Any]:
        """Return what is in a block, or a mapping, as far as its closing brace."""
        found: dict[str, Any] = {}
        while self.past_lines(",") and not self.takes("}"):
            key = self.take()
            if key.text == "(":
                self.skip(")")
            if self.takes("=") or self.takes(":"):
                found[_plain(key)] = self.value()
                continue
            while self.next.kind in ("text", "name"):
                self.take()
            if key.kind != "name" or not self.takes("{"):
                raise self.wrong(self.next)
            self.within(found, key.text)
        if self.tokens[self.at - 1].text != "}":
            raise self.wrong(self.next)
        return found

    def within(self, found: dict[str, Any], kind: str) -> None:
        """Add a block that is in another; several of one kind are a list."""
        body, before = self.body(), found.get(kind)
        found[kind] = body if before is None else [*(before if isinstance(before, list) else [before]), body]

    def value(self) -> Any:
        """Return a value; what has to be computed is its text."""
        while self.takes("\n"):
            pass
        began = self.next.at
        found = self.primary()
        if self.next.kind == "end" or self.next.text in ("\n", ",", "}", "]", ")"):
            return found
        self.rest()
        return self.written(began)

    def written(self, began: int) -> Computed:
        return Computed(names_only(self.text[began : self.next.at]).rstrip(", "))

    def primary(self) -> Any:
        token = self.take()
        if token.kind == "text":
            return _text(token.text)
        if token.kind == "heredoc":
            return _decoded(token.text)
        if token.kind == "number":
            return float(token.text) if "." in token.text else int(token.text)
        if token.kind == "name":
            return self.named(token)
        return self.bracket(token)

    def named(self, token: Token) -> Any:
        if token.text in _WORDS:
            return _WORDS[token.text]
        if not self.takes("("):
            return Computed(token.text)
        if token.text in _PASSED_ON:
            found = self.value()
            self.past_lines(",")
            if self.takes(")"):
                return found
        self.skip(")")
        return self.written(token.at)

    def bracket(self, token: Token) -> Any:
        if token.text not in ("{", "["):
            if token.text == "(":
                self.skip(")")
            elif token.text not in ("!", "-"):
                raise self.wrong(token)
            return self.written(token.at)
        self.past_lines()
        if self.next.text == "for":
            return self.each(token)
        return self.body() if token.text == "{" else self.listed()

    def listed(self) -> list[Any]:
        found = []
        while self.past_lines(",") and not self.takes("]"):
            found.append(self.value())
        return found

    def each(self, opening: Token) -> Any:
        """Return a mapping made for each of a list: that list's name or values, the word, and the mapping."""
        began = self.at
        self.take()
        word = self.take()
        if opening.text == "[" and self.next.text == "in":
            self.take()
            of = self.primary()
            if self.takes(":"):
                self.past_lines()
                made = self.value()
                self.past_lines()
                if self.takes("]"):
                    return Each(word.text, of, made)
        self.at = began
        self.skip(_CLOSING[opening.text])
        return self.written(opening.at)

    def rest(self) -> None:
        """Go past the rest of a computed value."""
        while self.next.kind != "end" and self.next.text not in ("\n", ",", "}", "]", ")"):
            token = self.take()
            if token.text in _CLOSING and token.kind == "sign":
                self.skip(_CLOSING[token.text])
            elif token.text in ("?", ":", "&&", "||"):
                self.past_lines()

    def skip(self, closing: str) -> None:
        """Go past what is in brackets, the closing one too."""
        wanted = [closing]
        while wanted:
            token = self.take()
            if token.kind == "sign" and token.text in _CLOSING:
                wanted.append(_CLOSING[token.text])
            elif token.kind == "sign" and token.text == wanted[-1]:
                wanted.pop()


@dataclass(frozen=True)
class Each:
    """A value that is made for each of a list, under a name."""

    word: str
    of: Any
    made: Any


def _plain(token: Token) -> str:
    return str(_text(token.text)) if token.kind == "text" else token.text


def _text(written: str) -> Any:
    inner = written[1:-1]
    if _is_computed(inner):
        alone = re.fullmatch(r"\$\{([^{}]*)\}", inner)
        return Computed(names_only(alone[1] if alone else written))
    return _ESCAPE.sub(_unescaped, inner).replace("$${", "${").replace("%%{", "%{")


def _is_computed(text: str) -> bool:
    return _OPENING.search(text.replace("$${", "").replace("%%{", "")) is not None


def _unescaped(found: re.Match[str]) -> str:
    code = found[1] or found[2]
    if code and int(code, 16) <= sys.maxunicode:
        return chr(int(code, 16))
    return _ESCAPES.get(found[0][1:], found[0])


def names_only(text: str) -> str:
    """Return an expression with its names; what is written out in it, which may be a secret, is left out."""
    try:
        tokens = list(_tokens(text))[:-1]
    except NotHclError:
        return "what Terraform computes"
    made = ""
    for token in tokens:
        apart = token.at > 0 and text[token.at - 1].isspace() and made
        made += (" " if apart and not made.endswith(" ") else "") + _named(token)
    return made.strip()


def _named(token: Token) -> str:
    if token.kind in ("text", "heredoc"):
        names = [names_only(one) for one in re.findall(r"\$\{([^{}]*)\}", token.text)]
        return '"' + "...".join(["", *(f"${{{one}}}" for one in names), ""]) + '"'
    return "..." if token.kind == "number" else token.text.strip("\n")


def _decoded(text: str) -> Any:
    if "%{" in text.replace("%%{", ""):
        return Computed("a document that Terraform computes")
    if not _is_computed(text):
        return text
    # a document with a few values in it that Terraform computes
    return re.sub(r'"?\$\{([^{}]*)\}"?', lambda found: json.dumps(f"${{{found[1].strip()}}}"), text)


def _below(name: str, names: Mapping[str, Any]) -> Any:
    """Return what a name stands for, such as word.attribute; a Computed where the files do not say it."""
    name = _INDEX.sub(r".\1", name)
    if name in names:
        return names[name]
    base, _, key = name.rpartition(".")
    above = _below(base, names) if base else None
    return above[key] if isinstance(above, Mapping) and key in above else Computed(name)


def resolved(value: Any, names: Mapping[str, Any], depth: int = 0) -> Any:
    """Return a value with those names in it that stand for what the files say."""
    if isinstance(value, Computed) and depth < _DEPTH:
        known = _below(value.text, names)
        return value if known == value else resolved(known, names, depth + 1)
    if isinstance(value, Each):
        of = resolved(value.of, names, depth + 1)
        if not isinstance(of, list):
            return Computed(f"for {value.word} in {of.text if isinstance(of, Computed) else 'a mapping'}")
        return [resolved(value.made, {**names, value.word: one}, depth + 1) for one in of]
    if isinstance(value, list):
        return [resolved(one, names, depth) for one in value]
    if isinstance(value, Mapping):
        return {key: resolved(one, names, depth) for key, one in value.items()}
    return value


_DEPTH = 10


def with_values(block: Block, names: Mapping[str, Any]) -> Block:
    """Return a block with the names in it that stand for what the files say."""
    return replace(block, body=resolved(block.body, names))

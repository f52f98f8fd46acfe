"""Which columns look like personal data, by their names and by their values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address

_NAMES: Mapping[str, re.Pattern[str]] = {
    "an e-mail address": re.compile(r"e[-_]?mail"),
    "a phone number": re.compile(r"phone|(^|_)(mobile|cell|fax|tel)(_|$)"),
    "a person's name": re.compile(
        r"(first|last|middle|given|family|full|maiden|sur|customer|passenger|patient|employee|contact|user)_?name"
    ),
    "a postal address": re.compile(r"(^|_)(address|street|addr)(_?(line)?_?\d)?$|(home|mail|billing|shipping)_addr"),
    "an IP address": re.compile(r"(^|_)ip(v[46])?(_|$)|ip_?address"),
    "a social security number": re.compile(r"(^|_)(ssn|social_security|national_id|tax_id|passport)"),
    "a payment card": re.compile(r"credit_?card|card_?(number|no|num)|(^|_)(pan|iban)$"),
    "a date of birth": re.compile(r"birth|(^|_)dob$"),
}
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}")
_SSN = re.compile(r"\d{3}-\d{2}-\d{4}")
_PHONE = re.compile(r"\+\d[\d ().-]{7,18}|\(\d{3}\) ?\d{3}-\d{4}")
_CARD = re.compile(r"\d{4}([ -]?\d{4}){2}[ -]?\d{1,7}")
_PERSONS = re.compile(r"customer|user|person|people|employee|patient|passenger|contact|member|guest")
_MOST = 0.8
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def why_personal(name: str, values: Sequence[str], table: str = "") -> str | None:
    """Why a column is likely personal; None where nothing says so."""
    plain = _CAMEL.sub("_", name).lower()
    if plain == "name" and _PERSONS.search(table.lower()):
        return f"by its name: a person's name, in a table of {table}"
    for what, pattern in _NAMES.items():
        if pattern.search(plain):
            return f"by its name: {what}"
    for what, test in _VALUES.items():
        if values and _are_most(test, values):
            return f"by its values: {what}"
    return None


def _are_most(test: Callable[[str], bool], values: Sequence[str]) -> bool:
    """Tell whether most values pass. Most columns are not personal, so a look ends as soon as too many do not."""
    unlike, most_unlike = 0, len(values) - _MOST * len(values)
    for value in values:
        unlike += not test(value)
        if unlike > most_unlike:
            return False
    return True


def luhn(text: str) -> bool:
    """Whether digits carry the check digit of payment cards."""
    digits = [int(sign) for sign in reversed(text) if sign.isascii() and sign.isdigit()]
    doubled = [sum(divmod(digit * 2, 10)) for digit in digits[1::2]]
    return bool(digits) and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _is_ip(text: str) -> bool:
    if "." not in text and ":" not in text:
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


_VALUES: Mapping[str, Callable[[str], bool]] = {
    "an e-mail address": lambda text: bool(_EMAIL.fullmatch(text)),
    "a social security number": lambda text: bool(_SSN.fullmatch(text)),
    "a phone number": lambda text: bool(_PHONE.fullmatch(text)),
    "an IP address": _is_ip,
    "a payment card": lambda text: bool(_CARD.fullmatch(text)) and luhn(text),
}

"""JSON in other encodings than UTF-8."""

from __future__ import annotations

import json

import pytest
from extract_support import Reply, serving
from rest_support import records_of

from elt_factory.core.failures import BadDataError

ROWS = [{"name": "Zoë"}, {"name": "plain"}]


def of(folder, body, kind=""):
    with serving(lambda _: Reply(body, headers={"Content-Type": kind})) as server:
        return records_of(server, folder, "x: {path: /x}", "x")


@pytest.mark.parametrize(
    ("encoding", "kind"),
    [
        ("utf-16", ""),
        ("utf-16-le", ""),
        ("utf-16-be", "application/json"),
        ("utf-32", ""),
        ("utf-8-sig", "application/json; charset=utf-8"),
        ("latin-1", "application/json; charset=ISO-8859-1"),
        ("cp1252", 'text/json; charset="windows-1252"'),
        # says latin-1 out of habit
        ("utf-8", "application/json; charset=iso-8859-1"),
        ("utf-8", "application/json; charset=nonsense"),
    ],
)
def test_text_is_read_in_its_encoding(tmp_path, encoding, kind):
    assert of(tmp_path, json.dumps(ROWS, ensure_ascii=False).encode(encoding), kind) == ROWS


def test_what_is_not_in_the_encoding_it_says_is_an_error(tmp_path):
    with pytest.raises(BadDataError, match="the response is not shift_jis, as it says it is"):
        of(tmp_path, '[{"a": "\u00e9'.encode("latin-1") + b'\xff"}]', "application/json; charset=shift_jis")

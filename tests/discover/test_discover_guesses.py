"""The guesses, each a pure function."""

import json
import re
import string
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from elt_factory.config.models.values import ColumnType
from elt_factory.config.yaml.source import parse_yaml
from elt_factory.core.failures import BadRequestError
from elt_factory.discover import keys, periods, pii
from elt_factory.discover.found import Guess, Sample, SourceFound, TableFound
from elt_factory.discover.sensitive import sensitive
from elt_factory.discover.table import Ground, first_day, named_apart, table_of
from elt_factory.discover.writing import yaml_of
from elt_factory.extract import dialect
from elt_factory.sources.rest_api import paging
from elt_factory.sources.rest_api import window_params as windows
from elt_factory.sources.rest_api.address import address_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def sample(types: dict[str, str], *rows: tuple[str | None, ...]) -> Sample:
    return Sample({name: ColumnType(kind) for name, kind in types.items()}, rows)


@pytest.mark.parametrize(
    ("answer", "path"),
    [
        ([{"id": 1}], None),
        ({"results": [{"id": 1}], "next": None}, "results"),
        ({"meta": {"tags": [{"a": 1}]}, "data": {"items": [{"id": 1}, {"id": 2}]}}, "data.items"),
        ({"errors": [{"e": 1}], "results": [{"id": 1}]}, "results"),
        ({"data": [{"id": "1"}], "included": [{"id": str(n)} for n in range(40)]}, "data"),
        ({"included": [{"id": "1"}, {"id": "2"}]}, "included"),
    ],
)
def test_the_list_of_records_is_found(answer, path):
    assert paging.records_paths(answer)[0] == path


def test_what_records_refer_to_is_not_taken_for_them_where_there_are_none():
    answer = {"data": [], "included": [{"id": "1"}]}
    assert (paging.records_paths(answer), paging.empty_lists(answer)) == ([], ["data"])


@given(JSON)
def test_any_answer_has_its_shape_read_without_an_error(answer):
    paging.records_paths(answer)
    paging.paginator_candidates(answer, {}, 3)


@pytest.mark.parametrize(
    ("answer", "headers", "kind"),
    [
        ({"data": [], "next": "eyJv"}, {}, "cursor"),
        ({"data": [], "next": "https://api.example.org/x?page=2"}, {}, "json_link"),
        ({"data": [], "links": {"next": "/x?page=2"}}, {}, "json_link"),
        ([], {"link": '<https://api.example.org/x?page=2>; rel="next"'}, "header_link"),
        ([], {}, "page_number"),
    ],
)
def test_the_way_to_the_next_page_is_suggested_by_the_answer(answer, headers, kind):
    assert paging.paginator_candidates(answer, headers, 10)[0].type == kind


def test_an_id_comes_before_other_unique_columns():
    found = sample({"email": "text", "user_id": "integer"}, ("a@x.org", "1"), ("b@x.org", "2"))
    assert keys.key_candidates(found)[0] == ("user_id",)


def test_a_column_with_a_gap_is_no_key():
    assert keys.key_candidates(sample({"id": "integer"}, ("1",), (None,))) == []


def test_two_columns_are_a_key_where_no_single_one_is():
    rows = [(place, f"2013-01-01 {hour:02}:00:00") for place in ("EWR", "JFK") for hour in range(10)]
    assert keys.key_candidates(sample({"origin": "text", "at": "datetime"}, *rows)) == [("origin", "at")]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), min_size=1, max_size=30))
def test_every_key_that_is_suggested_is_unique_in_the_sample(rows):
    found = sample({"code": "text", "kind": "text"}, *rows)
    for key in keys.key_candidates(found):
        assert len(set(zip(*map(found.values, key), strict=True))) == len(rows)


def test_a_cursor_is_a_time_whose_name_says_change():
    found = sample({"born": "date", "updated_at": "timestamp", "updated_by": "text"}, ("2013-01-01", "2013-01-02", "x"))
    assert keys.cursor_candidates(found) == ["updated_at"]
    assert keys.date_candidates(found) == ["born", "updated_at"]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("email", []),
        ("contactPhone", []),
        ("last_name", []),
        ("shipping_address", []),
        ("client_ip", []),
        ("ssn", []),
        ("a", ["ann@example.org", "bob@example.org"]),
        ("a", ["10.0.0.1", "::1"]),
        ("a", ["078-05-1120"]),
        ("a", ["4111 1111 1111 1111"]),
        ("a", ["+49 30 1234567"]),
    ],
)
def test_personal_data_is_known_by_its_name_or_its_values(name, values):
    assert pii.why_personal(name, values)


@pytest.mark.parametrize(
    ("name", "values"),
    [("tailnum", ["N10156"]), ("name", ["Newark"]), ("zip_code", []), ("description", []), ("a", ["1234567890123456"])],
)
def test_what_is_not_personal_stays_open(name, values):
    assert pii.why_personal(name, values, "airports") is None


@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("api_key", ["9f8e7d6c"], "secret"),
        ("accessToken", ["abcdefgh"], "secret"),
        ("note", ["sk_live_abcdefgh1234", "sk_live_zyxwvuts9876"], "secret"),
        ("has_password", ["true", "false"], None),
        ("next_page_token_count", ["12345678"], None),
        ("session_id", ["9f8e7d6c"], "by its name: the id of a session"),
        ("sessionId", ["1042", "1043"], None),
        ("password_hash", ["$2b$12$abcdefghijklmnopqrstuv"], "by its name: a secret"),
        ("passwordHash", ["9f8e7d6c"], "by its name: a secret"),
        ("password_digest", ["9f8e7d6c"], "by its name: a secret"),
        ("pw_salt", ["9f8e7d6c"], "by its name: a secret"),
        ("checked", ["$2b$12$abcdefghijklmnopqrstuv"], "by its values: a secret"),
        ("signing_key", ["9f8e7d6c"], "by its name: a secret"),
        ("hook", ["whsec_abcdefghijklmnop"], "by its values: a secret"),
        ("url", ["https://hooks.slack.com/services/T0/B0/abcdefgh"], "by its values: a secret"),
        ("bot", ["110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"], "by its values: a secret"),
        ("tokens", ['["tok_1_abcdefgh12345"]'], "inside, its list: by its name: a secret"),
        ("api_credentials", ["abc1defghijk"], "by its name: a secret"),
        ("reset_token", ["9f8e7d6c"], "by its name: a secret"),
        ("cookie", ["sid=9f8e7d6c; Path=/"], "by its name: a secret"),
        ("pin", ["1234", "9876"], "by its name: a secret"),
        ("tokens", ["15231234", "9"], None),
        ("tokens", ['{"input":1523,"output":12}'], None),
        ("total_tokens", ["123456789"], None),
        ("token_count", ["12345678"], None),
        ("session_count", ["12345678"], None),
        ("cookie_consent", ["accepted_all_1"], None),
        ("cookies", ["accepted", "refused"], None),
        ("pinned", ["1234"], None),
        ("shipping", ["1234"], None),
        ("pin", ["13", "A1"], None),
        ("credentials", ["M.D.", "Registered Nurse 2"], None),
        ("password_changed_at", ["2024-01-31T10:00:00Z"], None),
        ("signing_key_count", ["12345678"], None),
        ("settings", ['{"smtp": {"password": "hunter22"}}'], "inside, smtp.password: by its name: a secret"),
        ("hooks", ['[{"url": "https://x", "auth": "Bearer abcdef123456"}]'], "inside, auth: by its values: a secret"),
        ("buyer", ['{"customer": {"email": "a@example.org"}}'], "inside, customer.email: by its name: an e-mail"),
        ("buyer", ['{"customer": {"name": "Ann"}}'], "inside, customer.name: by its name: a person's name"),
        ("size", ['{"width": 3, "unit": "cm"}', "broken"], None),
        ("deep", ['{"a":' * 5000 + "1" + "}" * 5000], None),
    ],
)
def test_secrets_and_what_json_holds_inside_are_seen(name, values, found):
    seen = sensitive(name, values, "rows", is_json=values[0][0] in "{[")
    said = seen.secret or seen.personal
    assert (found in said) if found and said else found is said


@pytest.mark.parametrize(("dates", "day"), [({}, None), ({"bought": "2024-01-31"}, "2024-01-31")])
def test_a_date_of_birth_is_not_the_first_day_of_a_source(dates, day):
    seen = sample(
        {"dob": "date", **dict.fromkeys(dates, "date")}, *[(f"1980-01-0{n}", *dates.values()) for n in (1, 2)]
    )
    assert first_day(seen, table_of(seen, Ground("members"))) == day


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("weather_2013-01.csv", "weather_%Y-%m.csv"),
        ("orders_20240131.csv", "orders_%Y%m%d.csv"),
        ("2024-01-31T05.ndjson", "%Y-%m-%dT%H.ndjson"),
        ("sales-2024.parquet", "sales-%Y.parquet"),
        ("100%.csv", "100%%.csv"),
        ("part-123456.csv", "part-123456.csv"),
    ],
)
def test_the_period_of_a_file_name_becomes_a_pattern(name, pattern):
    assert periods.period_pattern(name) == pattern


@given(st.dates(min_value=date(1990, 1, 1), max_value=date(2099, 12, 31)))
def test_a_pattern_means_the_very_file_that_it_came_from(day):
    name = day.strftime("orders_%Y-%m-%d.csv")
    assert day.strftime(periods.period_pattern(name)) == name


@given(st.text())
def test_a_name_made_of_any_text_is_sane_or_empty(text):
    made = periods.sane_name(text)
    assert made == "" or (
        made[0] in string.ascii_lowercase and set(made) <= set(string.ascii_lowercase + "0123456789_")
    )
    assert periods.sane_name(made) == made


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_dialect_of_a_csv_file_is_found(delimiter):
    text = "\n".join(delimiter.join(row) for row in [("id", "temp"), ("1", "2.5"), ("2", "NA"), ("3", "4")])
    found = dialect.dialect_of(text.encode())
    assert (found.delimiter, found.null_words, found.encoding) == (delimiter, {"NA": "temp"}, "utf-8")


def test_a_word_in_a_column_of_text_is_kept():
    assert dialect.null_words([["country"], ["NA"], ["DE"]]) == {}


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_the_encoding_is_found(encoding):
    assert dialect.encoding_of("name\nMünchen\n".encode(encoding)) == encoding


@given(st.binary(max_size=300))
def test_any_bytes_have_a_dialect(head):
    assert dialect.dialect_of(head).delimiter


def test_a_window_is_believed_only_when_it_filters():
    rows = [{"updated_at": f"2013-01-0{day}T00:00:00Z"} for day in range(1, 9)]
    seen = sample({"updated_at": "timestamp"}, *[(row["updated_at"],) for row in rows])

    def ask(params):
        return [r for r in rows if params.get("from", "") <= r["updated_at"] < params.get("to", "9")]

    assert windows.confirmed(seen, ask).window == windows.WindowParams("from", "to", "updated_at")
    assert windows.confirmed(seen, lambda params: rows) == windows.Trial()
    assert windows.confirmed(seen, lambda params: None) == windows.Trial()


@pytest.mark.parametrize(
    ("by", "minutes", "window", "doubt"),
    [
        ("updated_at", [5] * 8, windows.WindowParams("since", None, "updated_at"), ""),
        ("created_at", [5] * 8, None, "since filters, by updated_at or created_at: the sample does not show which"),
        ("updated_at", [0] * 8, None, "since filters, by updated_at or created_at: the sample does not show which"),
        ("created_at", [9000, *[0] * 7], None, "since filters, by updated_at or created_at"),
        ("updated_at", [9000, *[0] * 7], windows.WindowParams("since", None, "updated_at"), ""),
        ("created_at", [9000] * 8, None, "since filters by created_at, and would miss later changes"),
    ],
)
def test_a_filter_by_creation_is_not_taken_for_one_by_the_last_change(by, minutes, window, doubt):
    def at(day, minute):
        return (datetime(2013, 1, day, tzinfo=UTC) + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ")

    rows = [{"created_at": at(n, 0), "updated_at": at(n, later)} for n, later in enumerate(minutes, 1)]
    seen = sample(dict.fromkeys(rows[0], "timestamp"), *[tuple(row.values()) for row in rows])
    trial = windows.confirmed(seen, lambda params: [row for row in rows if row[by] >= params.get("since", "")])
    assert trial.window == window
    assert trial.doubt.startswith(doubt)
    assert bool(trial.doubt) == bool(doubt)


def test_a_filter_by_creation_is_believed_where_nothing_changes():
    rows = [{"created_at": f"2013-01-0{day}T00:00:00Z"} for day in range(1, 9)]
    seen = sample({"created_at": "timestamp"}, *[(row["created_at"],) for row in rows])
    trial = windows.confirmed(seen, lambda params: [r for r in rows if r["created_at"] >= params.get("since", "")])
    assert trial.window == windows.WindowParams("since", None, "created_at")


@pytest.mark.parametrize("url", ["ftp://x/y", "http://", "x", "http://h:99999/", "http://[", "https://u:p@h/x"])
def test_what_is_no_plain_http_address_is_refused(url):
    with pytest.raises(BadRequestError):
        address_of(url)


@pytest.mark.parametrize(
    "rest",
    [
        "u?user=joe&pass=hunter22",
        "u?pw=hunter22",
        "u?code=hunter22Zx8abcdefgh==",
        "u?sid=hunter22abcdef",
        "u?PHPSESSID=hunter22abcdef",
        "u?client=AKIAHUNTER22HUNTER22",
        "bot110201543:hunter22vCH1vGWJxfSeofSAs0K5PALDsaw/getUpdates",
        "bot110201543%3Ahunter22vCH1vGWJxfSeofSAs0K5PALDsaw?page=1",
    ],
)
def test_an_address_with_a_secret_is_refused_and_the_secret_not_shown(rest):
    with pytest.raises(BadRequestError, match="the URL holds a secret") as caught:
        address_of(f"https://api.example.org/{rest}")
    assert "hunter22" not in str(caught.value)


def test_a_secret_of_the_path_is_proposed_for_the_host_of_the_connection():
    host = re.escape("--conn-host 'https://api.example.org/v1/bot/<secret>', then:")
    with pytest.raises(BadRequestError, match=f"{host} .* --path /getUpdates$"):
        address_of("https://api.example.org/v1/bot/110201543:hunter22vCH1vGWJxfSeofSAs0K5PALDsaw/getUpdates")


@pytest.mark.parametrize("query", ["code=DE", "sid=12", "author=joe", "keyword=x", "pinned=1", "session=2024", "p=1:2"])
def test_an_address_with_an_ordinary_parameter_passes(query):
    assert address_of(f"https://api.example.org/v1/orders?{query}").params


@given(st.text(alphabet=string.ascii_letters, min_size=8))
def test_a_secret_of_the_query_never_shows(secret):
    with pytest.raises(BadRequestError) as caught:
        address_of(f"https://api.example.org/v1/orders?access_token=0{secret}0")
    assert f"0{secret}0" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://me:pw@{}/v1", "http://{}/v1?api_key=pw"])
@pytest.mark.parametrize("host", ["127.0.0.1:8733", "[::1]:8733", "api.example.org"])
def test_the_connection_that_is_proposed_for_a_secret_has_the_whole_host(url, host):
    with pytest.raises(BadRequestError, match=re.escape(f"--conn-host 'http://{host}' ")):
        address_of(url.format(host))


def test_a_measure_is_never_part_of_a_key_and_an_id_is_preferred():
    rows = [(f"2013-01-{day:02}", f"{day},{100 + day}.50", str(day % 3), str(1000 + day)) for day in range(1, 13)]
    types = {"Day": "text", "Revenue": "text", "Region": "text", "sold": "text"}
    assert ("Day", "Revenue") not in keys.key_candidates(sample(types, *rows))
    assert keys.key_candidates(sample({"revenue": "integer"}, *(((str(n),)) for n in range(12)))) == []
    types = {"day": "date", "unit_price": "integer", "order_id": "integer"}
    rows = [("2013-01-01", str(n), str(n)) for n in range(12)]
    assert keys.key_candidates(sample(types, *rows)) == [("order_id",)]


@given(st.text(alphabet="${A}:-x"))
@example("$${{")
def test_what_is_found_is_written_as_text_and_never_as_a_variable(text):
    found = SourceFound({"connection": Guess(json.dumps(text), "")}, [])
    assert parse_yaml(Path("shop.yaml"), yaml_of("shop", found, {})).data["extract"]["connection"] == text


def test_a_table_that_gets_another_name_says_what_the_source_calls_it():
    found = [TableFound("upper", 1, [], origin=origin) for origin in ("upper", "UPPER")]
    same, renamed = named_apart(found, "table", "name in the database")
    assert (same.name, same.lines) == ("upper", {})
    assert (renamed.name, renamed.lines) == ("upper_2", {"table": Guess('"UPPER"', "name in the database")})

"""`elt status --watch` shows the rows of the Sources page."""

from datetime import UTC, datetime

from rich.console import Console

from elt_factory.cli.watching import watched
from elt_factory.config.loading import load_text
from elt_factory.ui.estate import Estate
from elt_factory.ui.models import Acknowledged, Copied
from elt_factory.ui.overview import Judgement, Seen, table_rows


def test_the_tables_that_need_someone_come_first_with_their_sentence(tmp_path):
    yaml = "name: src\nextract: {type: files, connection: c}\ntables: {a: {path: a.csv}, b: {path: b.csv}}\n"
    item = load_text(tmp_path / "src.yaml", yaml, tmp_path)
    states = {("src", "a"): Judgement("fresh", "[all] is well"), ("src", "b"): Judgement("failing", "no file")}
    said = {("src", "b"): Acknowledged(who="ann", at=datetime.now(UTC), why="asked for it")}
    rows = list(table_rows(Estate({"src": item}), Seen(states=states, acknowledged=said)))
    console = Console(width=140, record=True, file=None, quiet=False)
    with console.capture() as shown:
        console.print(watched(rows, Copied(at=datetime.now(UTC), age=7, warehouse="duckdb")))
    lines = shown.get().splitlines()
    assert lines[0].split("  ") == ["1 failing", "1 fresh"]
    assert [line.split()[0] for line in lines if line.strip().startswith("src.")] == ["src.b", "src.a"]
    assert "[all] is well" in shown.get()
    assert "no file ann takes care of it" in " ".join(shown.get().split())
    assert "as of the last commit, 7 s ago" in lines[-1]

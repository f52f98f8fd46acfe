"""`elt --help` and what shells ask: quick, because nothing that is heavy is imported."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_support import ORDERS, Project, python

HEAVY = {"airflow", "cosmos", "dbt", "duckdb", "httpx", "numpy", "pyarrow", "snowflake.connector", "sqlalchemy"}
ELT = "from elt_factory.cli.main import main; main()"

pytestmark = pytest.mark.services


def imported_by(*arguments: str, cwd: Path) -> set[str]:
    """The modules that a command imports."""
    code = (
        "import sys; from elt_factory.cli.main import app\n"
        f"try: app({arguments!r})\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print('|' + ' '.join(sys.modules))"
    )
    done = python("-c", code, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("|")[2].split())


@pytest.mark.parametrize("command", [("--help",), ("--version",), ("run", "--help"), ("list",)])
def test_what_people_ask_first_imports_no_engine(project: Project, command):
    project.write("orders", ORDERS)
    assert imported_by(*command, cwd=project.root) & HEAVY == set()


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("elt exp", ["explain"]),
        ("elt run o", ["orders", "other"]),
        ("elt plan or", ["orders"]),
        ("elt explain x", []),
    ],
)
def test_a_shell_completes_commands_and_names_of_configs(project: Project, monkeypatch, words, answer):
    project.write("orders", ORDERS)
    project.write("other", "name: other\nextract: {type: nonsense}\n")
    asked = {"_ELT_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    done = python("-c", f"import sys; sys.argv[0] = 'elt'; {ELT}", cwd=project.root)
    assert done.stdout.split() == answer, done.stderr


def test_completion_installs_itself_for_the_shell(project: Project, monkeypatch, tmp_path: Path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    done = python("-c", f"import sys; sys.argv[0] = 'elt'; {ELT}", "--install-completion", "bash", cwd=project.root)
    assert done.returncode == 0, done.stderr
    assert "complete -o default -F _elt_completion elt" in (tmp_path / ".bash_completions" / "elt.sh").read_text()

"""Which tables Python code reads with dlt's source of databases, and how. Nothing of it is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from elt_factory.importing.dlt_rest.literals import Called, Function, Names, called, names_of, value_of
from elt_factory.importing.dlt_rest.saying import shown

DATABASE = "sql_database"
_TABLE = "sql_table"
_ORDER = {DATABASE: ("credentials", "schema", "metadata", "table_names"), _TABLE: ("credentials", "table", "schema")}
_HINTS = ("incremental", "primary_key", "write_disposition")
_SAME = ("parallelize", "with_name", "clone")
_PARTS = ("with_resources", "apply_hints", "run", "schema", "name", "root_key", "max_table_nesting")
_CHANGED = ("add_map", "add_filter", "add_limit", "add_yield_map", "add_step")


@dataclass
class TableRead:
    """A table: what hints say of it, and the calls that change its rows."""

    name: str
    hints: dict[str, Any] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)


@dataclass
class DatabaseRead:
    """What is read of a database.

    Args:
        function: The function that reads it; None where the module does.
        given: What `sql_database` or `sql_table` is given.
        credentials: The code of its credentials, by which databases are told apart; nothing of it is written.
        tables: The tables that the code names.
        others: Whether others are read, which it does not name.
        computed: The computed names of tables, as the code says them.
    """

    function: str | None
    given: dict[str, Any]
    credentials: str
    tables: dict[str, TableRead] = field(default_factory=dict)
    others: bool = True
    computed: str = ""

    def only(self, names: list[Any]) -> DatabaseRead:
        """Return the same with some of its tables, which have their hints with it in common, as in dlt."""
        computed = ", ".join(shown(one) for one in names if not isinstance(one, str))
        known = {one: self.table(one) or TableRead(one) for one in names if isinstance(one, str)}
        return DatabaseRead(self.function, self.given, self.credentials, known, bool(computed), computed)

    def table(self, name: str) -> TableRead | None:
        """Return a table by its name; None where it is not read."""
        if self.others:
            self.tables.setdefault(name, TableRead(name))
        return self.tables.get(name)

    def read(self) -> list[TableRead]:
        """Return the tables that the code names."""
        return list(self.tables.values())


def databases_in(tree: ast.Module) -> list[DatabaseRead]:
    """Return what a module reads of databases: what its script runs, where that is known, else all of it."""
    functions = {one.name: one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
    above = names_of(tree, {})
    found = _Scope(above, None).run(tree.body)
    of = {name: _Scope(names_of(one, above), name).run(one.body) for name, one in functions.items()}
    ran = _reached(tree.body, functions)
    chosen = [name for name in functions if name in ran and of[name]]
    return found + [one for name in (chosen or functions) for one in of[name] if chosen or not found]


def _reached(body: list[ast.stmt], functions: Mapping[str, Function]) -> set[str]:
    """Return the functions that the statements of a module call, and those that they call."""
    ran = set[str]()
    outside: list[ast.AST] = [one for one in body if not isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    while outside:
        names = {one.id for one in ast.walk(outside.pop()) if isinstance(one, ast.Name)} & set(functions)
        outside += [functions[name] for name in names - ran]
        ran |= names
    return ran


class _Scope:
    """Follows the statements of a function or module in their order."""

    def __init__(self, names: Names, function: str | None) -> None:
        self.names, self.function = names, function
        self.found: list[DatabaseRead] = []
        self.held: dict[str, DatabaseRead | TableRead] = {}

    def run(self, body: list[ast.stmt]) -> list[DatabaseRead]:
        """Return what is read, without what was only chosen of."""
        for statement in _flat(body):
            self._statement(statement)
        return self.found

    def _statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.For):
            self._each(node)
            return
        value = getattr(node, "value", None)
        made = self._value(value) if isinstance(value, ast.expr) else None
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        for target in targets:
            if isinstance(target, ast.Name):
                self.held.pop(target.id, None)
                self.held |= {target.id: made} if made is not None else {}

    def _each(self, node: ast.For) -> None:
        """Take what a loop says of its variable for each of the tables that it is over."""
        over = node.iter
        while isinstance(over, ast.Call | ast.Attribute):
            over = over.func if isinstance(over, ast.Call) else over.value
        known = self.held.get(over.id) if isinstance(over, ast.Name) else None
        variable = node.target.elts[-1] if isinstance(node.target, ast.Tuple) else node.target
        if isinstance(known, DatabaseRead) and isinstance(variable, ast.Name):
            for table in known.read():
                self.held[variable.id] = table
                for statement in _flat(node.body):
                    self._statement(statement)

    def _value(self, node: ast.expr) -> DatabaseRead | TableRead | None:
        """Return the database or table that an expression is, and note all that it says of others."""
        if isinstance(node, ast.Name):
            return self.held.get(node.id)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Attribute):
            return self._table(self._value(node.value), node.attr)
        if isinstance(node, ast.Subscript):
            return self._table(self._value(node.value), value_of(node.slice, self.names))
        for one in ast.iter_child_nodes(node):
            if isinstance(one, ast.expr):
                self._value(one)
        return None

    def _table(self, of: DatabaseRead | TableRead | None, name: Any) -> DatabaseRead | TableRead | None:
        if not isinstance(of, DatabaseRead) or name in ("resources", "selected_resources"):
            return of
        return of.table(name) if isinstance(name, str) and name not in _PARTS else None

    def _call(self, node: ast.Call) -> DatabaseRead | TableRead | None:
        name = called(node.func)
        if name in _ORDER:
            return self._source(name, node)
        if name == "run":
            self._run(node)
            return None
        if not isinstance(node.func, ast.Attribute):
            for one in node.args:
                self._value(one)
            return None
        of = self._value(node.func.value)
        if of is None:
            return None
        if name == "with_resources" and isinstance(of, DatabaseRead):
            chosen = of.only(value_of(ast.List([*node.args]), self.names))
            self.found = [one for one in self.found if one is not of]
            return self._kept(chosen)
        return self._hinted(name, node, of)

    def _hinted(self, name: str, node: ast.Call, of: DatabaseRead | TableRead) -> DatabaseRead | TableRead | None:
        tables = of.read() if isinstance(of, DatabaseRead) else [of]
        for table in tables:
            if name == "apply_hints":
                table.hints |= self._hints(node)
            elif name in _CHANGED:
                table.changed.append(name)
        return of if name in (*_SAME, *_CHANGED, "apply_hints") else None

    def _hints(self, node: ast.Call) -> dict[str, Any]:
        given = {one.arg: value_of(one.value, self.names) for one in node.keywords if one.arg in _HINTS}
        return {str(key): value for key, value in given.items() if value is not None}

    def _run(self, node: ast.Call) -> None:
        """Take what the run of a pipeline says for all that it loads: it is stronger than hints."""
        listed = node.args[:1] or [one.value for one in node.keywords if one.arg == "data"]
        inside = [
            one for given in listed for one in (given.elts if isinstance(given, ast.List | ast.Tuple) else [given])
        ]
        for one in inside:
            ran = self._value(one)
            for table in ran.read() if isinstance(ran, DatabaseRead) else [ran] if ran else []:
                table.hints |= self._hints(node)

    def _source(self, name: str, node: ast.Call) -> DatabaseRead | TableRead | None:
        code = dict(zip(_ORDER[name], node.args, strict=False)) | {str(one.arg): one.value for one in node.keywords}
        given = {key: value_of(value, self.names) for key, value in code.items() if key != "credentials"}
        credentials = ast.dump(code["credentials"]) if "credentials" in code else ""
        base = DatabaseRead(self.function, given, credentials)
        if name == DATABASE:
            names = given.get("table_names")
            return self._kept(base if names is None else base.only(names if isinstance(names, list) else [names]))
        made = self._kept(base.only([given.get("table")]))
        table = next(iter(made.read()), None)
        if table is not None:
            table.hints |= self._hints(node)
        return table

    def _kept(self, made: DatabaseRead) -> DatabaseRead:
        self.found.append(made)
        return made


def _flat(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements in their order, with those in branches and blocks; a loop as one."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        yield node
        if isinstance(node, ast.For):
            continue
        for part in ("body", "orelse", "finalbody"):
            yield from _flat(getattr(node, part, []))
        for handler in getattr(node, "handlers", []):
            yield from _flat(handler.body)


def is_cursor(given: Any) -> bool:
    """Whether a hint is a cursor that the code says."""
    return isinstance(given, Called) and given.name.casefold() == "incremental"

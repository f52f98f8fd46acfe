"""A connector of each kind that does as it is told, in a folder with a warehouse of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from connectors_support import (
    DLT,
    DLT_REQUIREMENTS,
    LIMITS,
    airbyte,
    airbyte_record,
    airbyte_state,
    line_of,
    singer,
    singer_record,
    singer_state,
    status,
)

from elt_factory.core.connection import Connection
from elt_factory.core.window import Window
from elt_factory.testing.loads import WEEK, Line, source_of

NEXT_WEEK = Window(WEEK.end, WEEK.end + timedelta(days=7))
LAST_WEEK = Window(NEXT_WEEK.end, NEXT_WEEK.end + timedelta(days=7))
CHANGES = {"write_disposition": "merge", "primary_key": ["id"], "sync": "incremental"}
KINDS = ("airbyte", "singer", "dlt")
Steps = Sequence[Mapping[str, Any]]

# what a source of dlt does is told as to the other connectors
ACME = """
import atexit, json, os, signal, sys, time
import dlt


def do(what, value):
    if what == "say":
        print(value, flush=True)
    elif what == "bytes":
        sys.stdout.buffer.write(bytes.fromhex(value))
    elif what == "raise":
        raise ValueError(value)
    elif what == "sleep":
        time.sleep(value)
    elif what == "memory":
        globals()["held"] = bytearray(os.urandom(1)) * (value << 20)
    elif what == "exit":
        sys.stderr.flush()
        os._exit(value)
    elif what == "leave":
        sys.exit(value)
    elif what == "mark":
        with open(value, "w") as out:
            print(os.getpid(), file=out)
    elif what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "after":
        # when the state was sent
        atexit.register(lambda: [do(*one) for step in value for one in step.items()])


@dlt.source
def acme(steps: list, asked: str):
    @dlt.resource(primary_key="id")
    def users(at=dlt.sources.incremental("id", initial_value=0)):
        with open(asked, "w") as out:
            json.dump({"state": at.last_value}, out)
        for step in steps:
            for what, value in step.items():
                if what == "row":
                    yield value
                elif what == "other":
                    yield dlt.mark.with_table_name(value, "spies")
                else:
                    do(what, value)

    return users
"""


def row(kind: str, number: int, **more: Any) -> Mapping[str, Any]:
    """A step that sends a record."""
    made = {"airbyte": airbyte_record, "singer": singer_record}
    if kind == "dlt":
        return {"row": {"id": number, "zip": f"0{number}", **more}}
    step = made[kind](number)
    record = step["say"]["record"]
    (record["data"] if kind == "airbyte" else record).update(more)
    return step


def state(kind: str, number: int) -> Steps:
    """The steps that send a state; of dlt's that is not the source's own affair."""
    made = {"airbyte": lambda: [airbyte_state({"id": number})], "singer": lambda: [singer_state({"id": number})]}
    return made.get(kind, list)()


def done(kind: str) -> Steps:
    return [status("COMPLETE")] if kind == "airbyte" else []


@dataclass
class Stage:
    """A folder with a connector of a kind, and what was logged and warned there."""

    kind: str
    folder: Path
    log: list[str] = field(default_factory=list)

    def line(self, steps: Steps, **more: Any) -> Line:
        file, table = self.folder / "asked.json", {**CHANGES, **more}
        if self.kind == "dlt":
            return self._of_dlt(steps, file, table)
        given = [{"asked": str(file)}, *steps]
        settings = singer(*given) if self.kind == "singer" else airbyte(*given)
        return line_of(self.kind, self.folder, settings, self.log, **table)

    def _of_dlt(self, steps: Steps, file: Path, table: dict[str, Any]) -> Line:
        (self.folder / "dlt").mkdir(exist_ok=True)
        (self.folder / "dlt" / "acme.py").write_text(ACME)
        extract = {"type": "dlt", "package": DLT, "requirements": [*DLT_REQUIREMENTS], "source": "acme:acme"}
        extract |= {"connection": "acme"} | {key: table.pop(key) for key in LIMITS if key in table}
        if extract["package"] != DLT:
            del extract["requirements"]
        extra = {"arguments": {"steps": [*steps], "asked": str(file)}}
        config = {"name": "acme", "extract": extract, "tables": {"users": table}}
        return Line(
            source_of(config, self.folder), Connection("acme", "generic", extra=extra), self.folder, self.log.append
        )

    def whole(self, *numbers: int, **more: Any) -> Line:
        """A connector that does what it should."""
        rows = [row(self.kind, number) for number in numbers]
        return self.line([*rows, *state(self.kind, numbers[-1]), *done(self.kind)], **more)

    def ids(self) -> list[int]:
        return sorted(found["id"] for found in self.whole(0).rows())

    @property
    def asked(self) -> Any:
        return json.loads((self.folder / "asked.json").read_text())["state"]

"""A connector of the tests' own: a wheel with a tap and a source that say and do what their settings tell."""

import json
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from elt_factory.core.connection import Connection
from elt_factory.sources.airbyte.model import Airbyte
from elt_factory.testing.loads import Line, source_of

PACKAGE = "acme-connector==1.0"
DLT, DLT_REQUIREMENTS = "dlt==1.31.0", ("pyarrow>=20",)

_MAIN = """
import json, os, signal, subprocess, sys, time


def given(flag):
    place = sys.argv.index(flag) + 1 if flag in sys.argv else 0
    return json.load(open(sys.argv[place])) if place else None


def play(steps, asked):
    for step in steps:
        for what, value in step.items():
            if what == "say":
                sys.stdout.write((value if isinstance(value, str) else json.dumps(value)) + "\\n")
                sys.stdout.flush()
            elif what == "bytes":
                sys.stdout.buffer.write(bytes.fromhex(value) + b"\\n")
                sys.stdout.buffer.flush()
            elif what == "err":
                print(value, file=sys.stderr, flush=True)
            elif what == "sleep":
                time.sleep(value)
            elif what == "fork":
                left = subprocess.Popen(["sleep", "600"], start_new_session=True)
                with open(value, "w") as out:
                    out.write(f"{os.getpid()} {left.pid}")
            elif what == "mark":
                with open(value, "w") as out:
                    print(os.getpid(), file=out)
            elif what == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            elif what == "memory":
                globals()["held"] = bytearray(os.urandom(1)) * (value << 20)
            elif what == "environment":
                with open(value, "w") as out:
                    json.dump(dict(os.environ), out)
            elif what == "asked":
                with open(value, "w") as out:
                    json.dump(asked, out)
            elif what == "exit":
                sys.exit(value)


def tap():
    config = given("--config")
    if "--discover" in sys.argv:
        play(config.get("discovery", []), None)
        print(json.dumps({"streams": config["streams"]}))
        return
    play(config["steps"], {"catalog": given("--catalog"), "state": given("--state")})


def source():
    config = given("--config") or {}
    if sys.argv[1] == "spec":
        play([{"say": {"type": "SPEC", "spec": {"connectionSpecification": {
            "type": "object", "required": ["steps"], "properties": {
                "token": {"type": "string", "airbyte_secret": True}, "count": {"type": "integer"}}}}}}], None)
    elif sys.argv[1] == "discover":
        play([{"say": {"type": "CATALOG", "catalog": {"streams": config.get("streams", [])}}}], None)
    else:
        manifest = {key: value for key, value in config.items() if key.startswith("__")}
        play(config["steps"], {"catalog": given("--catalog"), "state": given("--state"), **manifest})


def newer():
    play([{"say": {"type": "SPEC", "spec": {"protocol_version": "1.0.0", "connectionSpecification": {}}}}], None)


def either():
    source() if sys.argv[1] in ("spec", "discover", "read") else tap()
"""


_COMMANDS = """[console_scripts]
tap-acme = acme_connector:tap
source-acme = acme_connector:source
acme-connector = acme_connector:either
source-newer = acme_connector:newer
"""


def write_wheel(folder: Path) -> Path:
    """Write the connector's wheel."""
    return _write_wheel(folder, "acme_connector-1.0", {"acme_connector.py": _MAIN}, _COMMANDS)


def write_cdk(folder: Path) -> Path:
    """Write a wheel of an airbyte-cdk that does what its settings say, whatever its manifest says."""
    command = "[console_scripts]\nsource-declarative-manifest = acme_connector:source\n"
    return _write_wheel(
        folder, f"airbyte_cdk-{Airbyte.model_fields['cdk'].default}", {"acme_connector.py": _MAIN}, command
    )


def write_old_dlt(folder: Path) -> Path:
    """Write a wheel of a dlt that has nothing of what is used of it."""
    return _write_wheel(folder, "dlt-0.1", {"dlt/__init__.py": '__version__ = "0.1"\n'})


def _write_wheel(folder: Path, named: str, modules: Mapping[str, str], commands: str = "") -> Path:
    name, _, version = named.partition("-")
    info = f"{named}.dist-info"
    files = {
        **modules,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": commands,
    }
    wheel = folder / f"{named}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"]))
    return wheel


LIMITS = ("timeout", "silence", "memory_mb", "output_mb", "catalog", "package", "executable")


def line_of(
    kind: str, folder: Path, settings: Mapping[str, Any], log: list[str], *, extra: Mapping[str, Any] = {}, **table: Any
) -> Line:
    """Return the line of a config whose connector does what its settings say."""
    extract = {"type": kind, "package": PACKAGE, "connection": "acme"}
    extract |= {"executable": "tap-acme" if kind == "singer" else "source-acme"}
    extract |= {key: table.pop(key) for key in LIMITS if key in table}
    spec = {"write_disposition": "replace"} | table
    config = {"name": "acme", "extract": extract, "tables": {"users": spec}}
    connection = Connection("acme", "generic", extra={**settings, **extra})
    return Line(source_of(config, folder), connection, folder, log.append)


def singer(*steps: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return settings of a tap with one stream, `users`."""
    schema = {"properties": {"id": {"type": "integer"}, "zip": {"type": ["null", "string"]}}}
    streams = [
        {"tap_stream_id": "users", "stream": "users", "schema": schema, "key_properties": ["id"]},
        {"tap_stream_id": "orders", "stream": "orders", "schema": schema},
    ]
    said = {"say": {"type": "SCHEMA", "stream": "users", "schema": schema, "key_properties": ["id"]}}
    return {"streams": streams, "steps": [said, *steps], **more}


def singer_record(number: int, stream: str = "users") -> dict[str, Any]:
    """Return a step that says one record."""
    return {"say": {"type": "RECORD", "stream": stream, "record": {"id": number, "zip": f"0{number}"}}}


def singer_state(value: Any) -> dict[str, Any]:
    """Return a step that says a state."""
    return {"say": {"type": "STATE", "value": value}}


def airbyte(*steps: Mapping[str, Any], modes: tuple[str, ...] = ("full_refresh", "incremental")) -> dict[str, Any]:
    """Return settings of a source with one stream, `users`."""
    schema = {"properties": {"id": {"type": "integer"}, "zip": {"type": "string"}}}
    stream = {"name": "users", "json_schema": schema, "supported_sync_modes": list(modes)}
    return {"streams": [stream], "steps": [status("STARTED"), *steps]}


def airbyte_record(number: int, stream: str = "users") -> dict[str, Any]:
    """Return a step that says one record."""
    data = {"id": number, "zip": f"0{number}"}
    return {"say": {"type": "RECORD", "record": {"stream": stream, "data": data, "emitted_at": 1}}}


def airbyte_state(value: Any, count: int | None = None) -> dict[str, Any]:
    """Return a step that says a state of the stream."""
    state = {"type": "STREAM", "stream": {"stream_descriptor": {"name": "users"}, "stream_state": value}}
    statistics = {} if count is None else {"sourceStats": {"recordCount": count}}
    return {"say": {"type": "STATE", "state": {**state, **statistics}}}


def status(name: str) -> dict[str, Any]:
    """Return a step that says how far the stream is."""
    about = {"stream_descriptor": {"name": "users"}, "status": name}
    return {"say": {"type": "TRACE", "trace": {"type": "STREAM_STATUS", "emitted_at": 1, "stream_status": about}}}


def failure(message: str, kind: str) -> dict[str, Any]:
    """Return a step that says an error."""
    error = {"message": message, "failure_type": kind}
    return {"say": {"type": "TRACE", "trace": {"type": "ERROR", "emitted_at": 1, "error": error}}}


def asked(file: Path) -> Any:
    """Return what the connector was asked, as its step `asked` wrote it."""
    return json.loads(file.read_text())


def alive(pid: str) -> bool:
    """Whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(true: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)

"""`python -m demo`: lay the demo's data, and serve its API."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from demo.errors import DemoError
from demo.weather import ALL_MONTHS


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, or 1 with one line on standard error."""
    arguments = _parser().parse_args(argv)
    try:
        message = arguments.run(arguments)
    except DemoError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(message)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    commands = parser.add_subparsers(required=True)

    prepare = commands.add_parser("prepare", help="lay the weather files and the fleet's database")
    prepare.set_defaults(run=_prepare)
    _add_data_dir(prepare)
    prepare.add_argument(
        "--months", type=int, nargs="+", choices=ALL_MONTHS, default=ALL_MONTHS, help="default: all twelve"
    )
    prepare.add_argument("--fleet-url", help="postgresql://...; default: <data-dir>/fleet.sqlite")
    prepare.add_argument("--fleet-schema", default="fleet", help="schema in PostgreSQL (default: fleet)")

    serve = commands.add_parser("serve", help="serve the flights API in this process")
    serve.set_defaults(run=_serve)
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8100)
    serve.add_argument("--log-level", default="warning", choices=("debug", "info", "warning", "error"))

    start = commands.add_parser("start", help="serve the flights API in the background")
    start.set_defaults(run=_start)
    _add_data_dir(start)
    start.add_argument("--port", type=int, default=8100)

    run = commands.add_parser("run", help="run the whole demo: sources, DAGs, summary")
    run.set_defaults(run=_run)
    run.add_argument("--days", type=int, default=7, help="days of 2013 to load (default: 7)")

    stop = commands.add_parser("stop", help="end the flights API that `start` started")
    stop.set_defaults(run=_stop)
    _add_data_dir(stop)
    return parser


def _add_data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-dir", type=Path, required=True, help="where the demo keeps its files")


def _prepare(arguments: argparse.Namespace) -> str:
    from demo.prepare import prepare

    done = prepare(
        arguments.data_dir,
        months=arguments.months,
        fleet_url=arguments.fleet_url,
        fleet_schema=arguments.fleet_schema,
    )
    return f"weather: {len(done.weather_files)} files written; fleet: {len(done.fleet_tables)} tables written\n"


def _serve(arguments: argparse.Namespace) -> str:
    from demo.api import serve

    serve(arguments.host, arguments.port, log_level=arguments.log_level)
    return ""


def _start(arguments: argparse.Namespace) -> str:
    from demo.process import HOST, start

    pid = start(arguments.data_dir, arguments.port)
    return f"flights API: http://{HOST}:{arguments.port} (process {pid})\n"


def _run(arguments: argparse.Namespace) -> str:
    from demo.run import run_demo

    code = run_demo(arguments.days)
    if code:
        raise DemoError("the demo did not succeed: see above")
    return ""


def _stop(arguments: argparse.Namespace) -> str:
    from demo.process import stop

    return "flights API: ended\n" if stop(arguments.data_dir) else "flights API: was not running\n"


if __name__ == "__main__":
    sys.exit(main())

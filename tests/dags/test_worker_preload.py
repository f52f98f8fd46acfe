"""What a Celery worker imports once for all of its tasks."""

import subprocess
import sys

import pytest

LOOK = """
import logging, sys, threading
failed = []
logging.getLogger("elt_factory").addHandler(type("Kept", (logging.Handler,), {"emit": lambda _, r: failed.append(r)})())
from elt_factory.dag import worker_preload
assert failed == [], failed
assert set(worker_preload._NEEDED) <= set(sys.modules)
# tasks are forked from it: a thread would be missing there, with what it has locked
assert threading.active_count() == 1
# dbt takes half a second and 60 MB, and a project may have no use for it
assert "dbt" not in sys.modules
"""


@pytest.mark.services
def test_it_imports_what_tasks_need_and_starts_no_thread():
    subprocess.run([sys.executable, "-c", LOOK], check=True)

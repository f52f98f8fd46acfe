"""Imports all of ELT Factory's formats, and asks which others are installed: a process does so before it forks tasks.

A file of text is compared with what files of every format begin with.
"""

from __future__ import annotations

from elt_factory.config.models.formats import FORMATS
from elt_factory.core.ahead import import_ahead

import_ahead(place.partition(":")[0] for place in FORMATS.built_in.values())
FORMATS.names()

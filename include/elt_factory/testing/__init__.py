"""Conformance suites: what every kind of source, format, check and warehouse must do, also those of other packages.

A suite is a class of pytest tests. Subclass it under a name that begins with `Test`, and say what is tested. The extra
`testing` has what the suites need.
"""

from elt_factory.core.extras import needs

with needs("testing", "elt_factory.testing"):
    import pytest
    import sqlglot  # noqa: F401

# a failed assertion of a suite says its values, as one of the test file does
_SUITES = ("checks", "formats", "loads", "sources", "warehouses")
pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in _SUITES))

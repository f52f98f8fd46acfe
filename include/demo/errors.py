"""What can go wrong with the demo's sources: always one line that says how to fix it."""

from elt_factory.core.failures import ServiceError as DemoError

__all__ = ["DemoError"]

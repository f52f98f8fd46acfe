"""All of what every warehouse must do."""

from __future__ import annotations

from elt_factory.testing.warehouses.accounting import AccountingSuite
from elt_factory.testing.warehouses.at_once import AtOnceSuite
from elt_factory.testing.warehouses.cursors import CursorSuite
from elt_factory.testing.warehouses.deletes import DeleteSuite
from elt_factory.testing.warehouses.forgetting import ForgetSuite
from elt_factory.testing.warehouses.history import HistorySuite
from elt_factory.testing.warehouses.interface import InterfaceSuite
from elt_factory.testing.warehouses.key_forms import KeyFormSuite
from elt_factory.testing.warehouses.loads import LoadSuite
from elt_factory.testing.warehouses.maintenance import MaintenanceSuite
from elt_factory.testing.warehouses.refreshes import RefreshSuite
from elt_factory.testing.warehouses.rejects import RejectLimitSuite
from elt_factory.testing.warehouses.replays import ReplaySuite
from elt_factory.testing.warehouses.schema import SchemaSuite
from elt_factory.testing.warehouses.values import ValueSuite


class WarehouseSuite(
    LoadSuite,
    ValueSuite,
    SchemaSuite,
    AccountingSuite,
    InterfaceSuite,
    KeyFormSuite,
    AtOnceSuite,
    CursorSuite,
    DeleteSuite,
    ForgetSuite,
    HistorySuite,
    MaintenanceSuite,
    RefreshSuite,
    RejectLimitSuite,
    ReplaySuite,
):
    """A warehouse. Subclass it, and give a fixture `connect`."""

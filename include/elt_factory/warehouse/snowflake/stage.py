"""Which stage a landing is copied from: our internal one, or an external one over the landing's own URL."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from elt_factory.core.connection import Connection
from elt_factory.landing.manifest import LandedFile
from elt_factory.landing.places import Place
from elt_factory.landing.remote import RemotePlace
from elt_factory.warehouse import audit
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.snowflake import sql
from elt_factory.warehouse.snowflake.sql import DIALECT, StageFolder

INTEGRATION = "landing_integration"  # in the extra of the connection `warehouse`
_AZURE = re.compile(r"abfss?://([^@/]+)@([^./]+)\.(?:dfs|blob)\.core\.windows\.net(/.*)?")


def external_url(root: str) -> str | None:
    """Return the URL of a landing as Snowflake writes it; None where it does not say all that Snowflake needs."""
    if root.startswith("s3://"):
        return f"{root}/"
    if root.startswith("gs://"):
        return f"gcs://{root.removeprefix('gs://')}/"
    azure = _AZURE.fullmatch(root)
    return f"azure://{azure[2]}.blob.core.windows.net/{azure[1]}{azure[3] or ''}/" if azure else None


class ExternalStage:
    """A stage over the root of all landings. Its name contains its URL, so another root gets another stage."""

    def __init__(self, landing: RemotePlace, url: str, integration: str) -> None:
        digest = hashlib.sha256(f"{url}\x00{integration}".encode()).hexdigest()[:8]
        self.relation = Relation(audit.SCHEMA, f"landing_{digest}")
        self.create = sql.create_external_stage(self.relation, url, integration)
        self.wanted = f"USAGE ON STAGE {self.relation.sql(DIALECT)}"
        self._path = landing.path

    def folder(self, files: Sequence[LandedFile]) -> StageFolder:
        """Return what all of these files begin with, and no other of the landing."""
        first = files[0].path
        below = f"{PurePosixPath(first).parent}/" if len(files) > 1 else first
        return StageFolder(self.relation, f"{self._path}/{below}")


def external_stage(landing: Place, connection: Connection) -> ExternalStage | None:
    """Return the stage from which Snowflake reads a landing by itself, where the connection says how it may."""
    integration = connection.extra.get(INTEGRATION)
    if not integration or not isinstance(landing, RemotePlace):
        return None
    url = external_url(landing.root)
    return ExternalStage(landing, url, str(integration)) if url else None

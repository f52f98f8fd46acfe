"""The page's API: what it answers, to whom, and the files of the page itself.

Airflow mounts it below its own address. What it changes is Airflow's audit log, where an incident is acknowledged, and
the repository of a git bundle, to which it pushes a branch with a new YAML. It opens connections of Airflow, the one of
the warehouse and those that `ELT_PAGE_SAMPLES` allows for samples. What else a user does on the page, the page asks of
Airflow's own API, with that user's own permission.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, HTTPException, Request, status
from fastapi.responses import FileResponse, JSONResponse

from elt_factory.core.failures import EltError
from elt_factory.ui.access import User
from elt_factory.ui.onboarding import router as onboarding
from elt_factory.ui.plugin import STATIC
from elt_factory.ui.routes import WRONG, router

_TYPES = {".js": "text/javascript", ".svg": "image/svg+xml"}

app = FastAPI(
    title="ELT Factory",
    description="The state of every source and table, as the audit tables, the configs and Airflow have it.",
    version="1",
    docs_url=None,
    redoc_url=None,
    openapi_url=None,
)


@app.exception_handler(EltError)
def _cannot_say(_: Request, error: EltError) -> JSONResponse:
    """Answer that the warehouse cannot be asked: the message has no secret."""
    return JSONResponse({"detail": str(error)}, status.HTTP_503_SERVICE_UNAVAILABLE)


@app.get("/static/{name}", include_in_schema=False)
def static_file(name: str, _: User) -> FileResponse:
    """Return a file of the page. Its address has its version, so a browser keeps it."""
    file = STATIC / name
    if Path(name).name != name or Path(name).suffix not in _TYPES or not file.is_file():
        raise HTTPException(status.HTTP_404_NOT_FOUND, "Not found")
    headers = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return FileResponse(file, media_type=_TYPES[file.suffix], headers=headers)


@app.get("/api/v1/openapi.json", include_in_schema=False)
def openapi(_: User) -> JSONResponse:
    """Return the description of this API."""
    return JSONResponse(app.openapi())


app.include_router(router)
app.include_router(onboarding, responses=WRONG)

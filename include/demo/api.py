"""The `flights` source: an HTTP API with keys, cursors, a rate limit and a failure now and then."""

import hmac
import math
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader

from demo.flights import BadRequestError, Flights, load_flights, parse_window
from demo.limits import FailureSchedule, Settings, TokenBucket, settings_from_env

DEFAULT_LIMIT = 1000
MAX_LIMIT = 5000
_KEY_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False)


class Gate:
    """Lets a data request in, or answers it with 401, 429 or 503, in that order.

    There is one valid key, hence one bucket. Only requests that hold the key and keep to the rate count
    towards the failures, so which one fails does not depend on how fast a client went.
    """

    def __init__(self, settings: Settings) -> None:
        self._key = settings.api_key.encode()
        self._bucket = TokenBucket(settings.rate_per_minute / 60, settings.burst)
        self._failures = FailureSchedule(settings.fail_every)

    async def __call__(self, key: Annotated[str | None, Security(_KEY_HEADER)]) -> None:
        """Admit the request or raise the HTTPException that answers it."""
        if key is None:
            raise HTTPException(401, "no API key: send it in the header X-API-Key")
        if not hmac.compare_digest(key.encode(), self._key):
            raise HTTPException(401, "wrong API key: the header X-API-Key must hold the value of DEMO_API_KEY")
        if wait := self._bucket.take():
            seconds = math.ceil(wait)
            raise HTTPException(429, f"too fast: try again in {seconds} s", {"Retry-After": str(seconds)})
        if self._failures.fails_now():
            raise HTTPException(503, "the service is briefly unavailable: try again")


def create_app(flights: Flights, settings: Settings) -> FastAPI:
    """Build the application over records that are already encoded."""
    app = FastAPI(title="New York flights 2013", description="The flights source of the demo.")
    gate = Gate(settings)

    @app.exception_handler(RequestValidationError)
    async def bad_parameter(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return JSONResponse({"detail": f"{first['loc'][-1]}: {first['msg']}"}, 422)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/flights", dependencies=[Depends(gate)])
    async def list_flights(
        since: str | None = None,
        until: str | None = None,
        cursor: str | None = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    ) -> Response:
        try:
            page = flights.page(parse_window(since, until), cursor, limit)
        except BadRequestError as error:
            raise HTTPException(422, str(error)) from None
        return Response(page, media_type="application/json")

    return app


def serve(host: str = "127.0.0.1", port: int = 8100, *, log_level: str = "warning") -> None:
    """Serve the API until the process is asked to stop; the port opens once all records are encoded.

    Raises DemoError when the dataset is not installed, or a DEMO_* variable is not a number.
    """
    settings = settings_from_env()
    app = create_app(load_flights(), settings)
    uvicorn.run(app, host=host, port=port, log_level=log_level, timeout_graceful_shutdown=3)

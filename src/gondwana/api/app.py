"""The ASGI application of the control plane."""

import secrets
from collections.abc import Awaitable, Callable

from fastapi import Depends, FastAPI, Request, Response

from gondwana import __version__
from gondwana.api import problems, socket
from gondwana.api.bodies import BodyLimit
from gondwana.api.plane import Plane
from gondwana.api.query import known_only
from gondwana.api.routes import (
    accounts,
    auctions,
    blobs,
    budgets,
    calendar,
    invoices,
    jobs,
    leases,
    ledger,
    machines,
    payouts,
    prices,
    pricing,
    quotas,
    service,
    stakes,
    subsidies,
    tags,
    treasury,
    treasury_rails,
)


def make_app(plane: Plane) -> FastAPI:
    """The API over a plane; OpenAPI at /openapi.json, a page of it at /docs."""
    app = FastAPI(
        title="Gondwana",
        version=__version__,
        description="One cloud out of many owners' machines.",
        dependencies=[Depends(known_only)],
    )
    app.state.plane = plane
    problems.install(app)
    app.add_middleware(BodyLimit)  # inside the next: outside, its refusal would come out as a 500
    app.middleware("http")(_name_request)
    for module in (
        jobs,
        leases,
        calendar,
        machines,
        auctions,
        pricing,
        prices,
        accounts,
        budgets,
        quotas,
        invoices,
        ledger,
        payouts,
        treasury,
        treasury_rails,
        service,
        subsidies,
        tags,
        stakes,
        blobs,
        socket,
    ):
        app.include_router(module.router)

    @app.get("/healthz", tags=["health"])
    def health() -> dict[str, bool]:  # pyright: ignore[reportUnusedFunction]  # FastAPI holds it
        """Whether the process answers."""
        return {"ok": True}

    @app.get("/readyz", tags=["health"])
    def ready() -> dict[str, object]:  # pyright: ignore[reportUnusedFunction]  # FastAPI holds it
        """Whether it can read its database; how many machines are linked."""
        plane.context.database.reader().one("SELECT 1")
        return {"ok": True, "machines_linked": plane.connected(), "version": __version__}

    return app


async def _name_request(
    request: Request, call: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Give each request an id that its answer and its errors carry."""
    request.state.request_id = secrets.token_hex(8)
    response = await call(request)
    response.headers["x-request-id"] = request.state.request_id
    return response

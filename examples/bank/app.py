"""The bank's HTTP API: `/docs` shows it, `/openapi.json` describes it."""

import hmac
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from examples.bank import accounts, branches, cards, disputes
from examples.bank.database import Database
from examples.bank.problems import answer_with_problems
from examples.bank.seed import seed

__all__ = ["create_app"]

BEARER = HTTPBearer(auto_error=False, description="The API key that the bank gave you.")


def create_app(data: Path, api_key: str) -> FastAPI:
    """The application.

    Args:
        data: a folder for its database, which is made and filled where there is none.
        api_key: what callers have to send as a bearer token.
    """
    database = Database(data / "bank.sqlite")
    database.create(seed)

    def key_is_right(given: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]) -> None:
        said = given.credentials if given is not None else ""
        if not hmac.compare_digest(said.encode(), api_key.encode()):
            raise HTTPException(401, "the API key is missing or wrong", {"WWW-Authenticate": "Bearer"})

    app = FastAPI(
        title="Core banking",
        version="1.0",
        description="Accounts, cards, disputed payments, branches and appointments of a small retail bank.",
    )
    app.state.database = database
    answer_with_problems(app)
    for part in (accounts, cards, disputes, branches):
        app.include_router(part.router, dependencies=[Depends(key_is_right)])

    @app.get("/health", tags=["health"], operation_id="health")
    def health() -> dict[str, str]:
        """Whether the bank answers."""
        with database.read() as connection:
            connection.execute("SELECT 1 FROM customers").fetchone()
        return {"status": "ok"}

    return app

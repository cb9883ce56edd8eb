"""FastAPI with PyJWT, psycopg's pool and slowapi on Redis, put together as their manuals show."""

import os
from contextlib import asynccontextmanager
from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, HTTPException, Request
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded

SECRET_KEY = os.environ["PEERS_SECRET_KEY"]
RATE = "1000000/minute"
ROWS = """
SELECT id, name, branch, number, currency, balance, status
FROM stock_account WHERE owner_id = %s ORDER BY id DESC
"""
pool = AsyncConnectionPool(
    os.environ["PEERS_DATABASE_URL"],
    min_size=4,
    max_size=8,
    open=False,
    kwargs={"autocommit": True, "row_factory": dict_row},
)


@asynccontextmanager
async def lifespan(app):
    """The pool lives as long as the application."""
    async with pool:
        yield


limiter = Limiter(
    key_func=lambda request: request.state.user_id, storage_uri=os.environ["PEERS_REDIS_URL"]
)
app = FastAPI(lifespan=lifespan)
app.state.limiter = limiter
app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)


async def rows(query, *arguments):
    async with pool.connection() as connection:
        return await (await connection.execute(query, arguments)).fetchall()


async def current_user(request: Request):
    """The active user of the bearer token. Raises HTTPException(401)."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer":
        raise HTTPException(401)
    try:
        claims = jwt.decode(token, SECRET_KEY, algorithms=["HS256"])
    except jwt.InvalidTokenError as error:
        raise HTTPException(401) from error
    found = await rows("SELECT id, is_active FROM auth_user WHERE id = %s", int(claims["user_id"]))
    if not found or not found[0]["is_active"]:
        raise HTTPException(401)
    request.state.user_id = claims["user_id"]
    return found[0]


@app.get("/healthz")
async def live():
    return {}


@app.get("/rows")
@limiter.limit(RATE)
async def accounts(request: Request, user: Annotated[dict, Depends(current_user)]):
    return await rows(ROWS, user["id"])

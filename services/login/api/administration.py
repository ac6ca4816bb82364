"""Accounts and the audit log, for administrators."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from services.login.api.dependencies import LoginDep, OriginDep, by
from services.login.audit import Origin, record
from services.login.repository import events_before
from services.login.schemas import (
    AccountChange,
    AccountDetails,
    AccountList,
    AuditCheck,
    AuditList,
    AuditNote,
    AuditRecord,
    NewAccount,
)
from services.login.seals import Seals
from shared.errors import responses
from shared.http.auth import Principal, require
from shared.storage.database import now

__all__ = ["router"]

router = APIRouter(tags=["administration"])

Admin = Annotated[Principal, Depends(require(roles={"admin"}))]
AuditWriter = Annotated[Principal, Depends(require(scopes={"login:audit"}))]
EventId = Annotated[int, Field(ge=1, le=2**31 - 1)]
Limit = Annotated[int, Query(ge=1, le=200)]


@router.post("/v1/accounts", status_code=201, responses=responses(409))
async def provision(body: NewAccount, login: LoginDep, admin: Admin, origin: OriginDep) -> AccountDetails:
    """Makes an account with roles and a customer number."""
    return AccountDetails.model_validate(await login.accounts.provision(body, by(origin, admin)))


@router.get("/v1/accounts")
async def accounts(
    login: LoginDep, _admin: Admin, after: Annotated[str, Query(max_length=64)] = "", limit: Limit = 50
) -> AccountList:
    """Accounts in the order of their user names, after the given one."""
    found = await login.accounts.after(after, limit)
    return AccountList(accounts=[AccountDetails.model_validate(each) for each in found])


@router.patch("/v1/accounts/{account_id}", responses=responses(404, 409))
async def change_account(
    account_id: Annotated[str, Path(max_length=64)],
    body: AccountChange,
    login: LoginDep,
    admin: Admin,
    origin: OriginDep,
) -> AccountDetails:
    """Changes roles, customer number or display name of an account, or closes and reopens it."""
    return AccountDetails.model_validate(await login.accounts.change(account_id, body, by(origin, admin)))


@router.post("/v1/audit", status_code=204, response_class=Response)
async def note(body: AuditNote, login: LoginDep, service: AuditWriter, origin: OriginDep) -> None:
    """Appends what another service has to tell; which one it was stands with it."""
    async with login.database.transaction(service.tenant) as session:
        origin = Origin(address=origin.address, actor=body.actor)
        detail = {**body.detail, "service": service.subject}
        record(session, body.event, origin, at=now(), target=body.target, detail=detail)


@router.get("/v1/audit/check")
async def audit_check(login: LoginDep, admin: Admin) -> AuditCheck:
    """Whether all of the log is as it was written; reads it whole."""
    return await Seals(login.settings, login.database).check(admin.tenant)


@router.get("/v1/audit")
async def audit(
    login: LoginDep,
    admin: Admin,
    before: Annotated[EventId | SkipJsonSchema[None], Query()] = None,
    limit: Limit = 50,
) -> AuditList:
    """What happened, newest first; `before` continues after the last event of the page before."""
    async with login.database.reading(admin.tenant) as session:
        events = await events_before(session, before, limit)
    return AuditList(events=[AuditRecord.model_validate(each) for each in events])

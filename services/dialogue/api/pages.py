"""The chat page."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response

__all__ = ["PAGES", "Assets", "router"]

PAGES = Path(__file__).parent.parent / "pages"

POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'"
FRESH = {"Cache-Control": "no-cache"}
"""Kept by browsers, and asked for again each time: what has not changed is not sent again."""

router = APIRouter(include_in_schema=False)


@router.get("/")
async def chat(request: Request) -> FileResponse:
    """The page to chat with the assistant."""
    policy = f"{POLICY}; frame-ancestors {request.app.state.settings.frame_ancestors}"
    return FileResponse(PAGES / "chat.html", headers={**FRESH, "Content-Security-Policy": policy})


@router.get("/favicon.ico")
async def icon() -> FileResponse:
    """The icon, where browsers look for it before they have read a page."""
    return FileResponse(PAGES / "icon.svg", media_type="image/svg+xml", headers=FRESH)


class Assets(StaticFiles):
    """The files of the pages."""

    def file_response(self, *args: Any, **options: Any) -> Response:
        """A file, or that the browser's is still right."""
        answer = super().file_response(*args, **options)
        answer.headers.update(FRESH)
        return answer

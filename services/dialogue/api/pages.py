"""The chat page."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

__all__ = ["PAGES", "router"]

PAGES = Path(__file__).parent.parent / "pages"

POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'self'"

router = APIRouter(include_in_schema=False)


@router.get("/")
async def chat() -> FileResponse:
    """The page to chat with the assistant."""
    return FileResponse(
        PAGES / "chat.html",
        headers={"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"},
    )

"""What a service says to learning of the releases that are proven: that it has loaded one, or why it cannot."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from urllib.parse import quote

import structlog

from shared.calls.client import ServiceClient
from shared.contracts.releases import Release, ReleaseReport
from shared.errors import DeadlineExceeded, Problem, Unavailable, UpstreamError, ZhiyinError

__all__ = ["AWAY", "LEARNING", "Reports", "reason_of"]

log = structlog.get_logger(__name__)

LEARNING = "learning"
REPORT_SECONDS = 5.0
MAX_REASON = 4000
MAX_INSTANCE = 128

AWAY = (Unavailable, DeadlineExceeded, UpstreamError)
"""Errors that say nothing about a release: somebody who is needed does not answer."""


class Reports:
    """Each release is reported once, and again until learning has heard it."""

    def __init__(self, client: ServiceClient, service: str, instance: str, pause: Callable[[int], float]) -> None:
        """Args:
        pause: seconds until the next try after so many failures.
        """
        self._client = client
        self._service = service
        self._instance = instance
        self._pause = pause
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def tell(self, proving: Mapping[str, Release], *, loaded: Collection[str], refused: Mapping[str, str]) -> None:
        """Reports of what is proven all that is known by now.

        Args:
            proving: the releases that learning wants to hear of, by their ids.
            refused: why, by the ids of those that cannot be loaded.
        """
        for identity, release in proving.items():
            reason = refused.get(identity, "")
            if identity in self._under_way or not (reason or identity in loaded):
                continue
            report = ReleaseReport(
                service=self._service,
                instance=self._instance[:MAX_INSTANCE],
                loaded=not reason,
                reason=reason[:MAX_REASON],
            )
            self._under_way[identity] = asyncio.create_task(self._report(release, report), name=f"report-{identity}")
        for identity in [each for each in self._under_way if each not in proving]:
            self._under_way.pop(identity).cancel()

    async def close(self) -> None:
        """Gives up what could not be told."""
        for task in self._under_way.values():
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def _report(self, release: Release, report: ReleaseReport) -> None:
        failures = 0
        while True:
            try:
                await self._client.post(
                    LEARNING,
                    f"/v1/releases/{quote(release.id, safe='')}/reports",
                    json=report.model_dump(mode="json"),
                    deadline=REPORT_SECONDS,
                    retry=True,
                    tenant=release.tenant,
                )
            except AWAY:
                failures += 1
                await asyncio.sleep(self._pause(failures))
            except Problem as error:
                log.warning("release_report_refused", release=release.id, error=error.detail)
                return
            else:
                return


def reason_of(error: Exception, folder: Path) -> str:
    """Why a release cannot be loaded, as its author reads it: without where its folder lies on this machine."""
    if isinstance(error, OSError):
        return f"this machine cannot keep it: {error.strerror or type(error).__name__}"
    if isinstance(error, ZhiyinError | ValueError):
        return str(error).replace(f"{folder}/", "").replace(str(folder), folder.name)
    return f"it cannot be loaded: {type(error).__name__}"

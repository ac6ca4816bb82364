"""News of results: references taken off their queue, for which the outbox then asks business.

A reference is a hint and may be forged or lost. What it leads to is a look at the outbox; a result is only ever what
business itself answers.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from prometheus_client import Counter

from shared.contracts.actions import ActionReference
from shared.errors import Unavailable
from shared.queue.outbox import QUEUE_ERRORS
from shared.queue.references import References

__all__ = ["follow_results"]

log = structlog.get_logger(__name__)

POP_SECONDS = 5.0
AGAIN_SECONDS = (0.5, 5.0)
"""The first pause after a failure, and the longest."""

NEWS = Counter("zhiyin_results_news_total", "References to results that came off the queue", ["outcome"])
for _outcome in ("known", "unknown"):
    NEWS.labels(_outcome)


async def follow_results(
    queue: References,
    news: Callable[[ActionReference], Awaitable[bool]],
    kick: Callable[[], None],
    beat: Callable[[], None],
) -> None:
    """Runs until it is cancelled; nothing that is in the queue ends it.

    Args:
        news: has an action looked at; whether there is such an action.
        kick: called after that.
        beat: called whenever the loop turns, also while the queue is away.
    """
    first, longest = AGAIN_SECONDS
    pause = first
    while True:
        beat()
        try:
            async with asyncio.timeout(2 * POP_SECONDS):
                reference = await queue.pop(POP_SECONDS)
            if reference is not None:
                known = await news(reference)
                NEWS.labels("known" if known else "unknown").inc()
                if known:
                    kick()
            pause = first
        except (*QUEUE_ERRORS, Unavailable) as error:
            log.warning("results_away", error=type(error).__name__, again_in=pause)
        except Exception as error:
            log.error("results_failed", error=type(error).__name__, exc_info=error)
        else:
            continue
        await asyncio.sleep(pause)
        pause = min(longest, pause * 2)

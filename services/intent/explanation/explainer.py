"""Explanations for callers: one at a time, off the event loop, and with no memory of their own while nobody asks."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from services.intent.explanation.attributions import Explanation, GradientNetwork, explain_text
from shared.errors import DeadlineExceeded, InvalidInput, TooManyRequests, Unavailable
from shared.nlu.manifest import ModelRejected
from shared.nlu.model import Model
from shared.nlu.tokenizer import Encoded

__all__ = ["MAX_TOKENS", "Explainer"]

MAX_TOKENS = 64
"""The work grows with the square of a text's tokens."""
IDLE_SECONDS = 60.0
RETRY_AFTER_SECONDS = 2.0
LATE = "the deadline passed before the text was explained"


class _GivenUp(Exception):
    """Nobody waits for the explanation any more."""


class Explainer:
    """Explains what models say, with networks of their own beside those that serve; for one event loop."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="explain")
        self._given_up: threading.Event | None = None
        self._network: tuple[str, GradientNetwork] | None = None
        self._release: asyncio.TimerHandle | None = None

    async def explain(self, model: Model, text: str, intent: str, *, deadline: float) -> Explanation:
        """What each token of the text adds to the logit of an intent.

        Args:
            deadline: until when somebody waits for it, by the event loop's clock.

        Raises:
            InvalidInput: the model has no such intent, or the text is too long to be explained.
            TooManyRequests: another explanation is being computed.
            DeadlineExceeded: it was not done in time.
            Unavailable: the model's files or the library that would compute it are not there.
        """
        if intent not in model.manifest.intents:
            raise InvalidInput(f"the model has no intent {intent!r}", field="intent")
        [encoded] = model.encode([text])
        if len(encoded) > MAX_TOKENS:
            raise InvalidInput(
                f"the text has {len(encoded)} tokens and {MAX_TOKENS} at most can be explained", field="text"
            )
        if deadline <= asyncio.get_running_loop().time():
            raise DeadlineExceeded(LATE)
        if self._given_up is not None:
            raise TooManyRequests("another explanation is being computed", retry_after=RETRY_AFTER_SECONDS)
        given_up = self._given_up = threading.Event()
        computing = asyncio.get_running_loop().run_in_executor(
            self._pool, self._compute, model, encoded, intent, given_up
        )
        computing.add_done_callback(self._finish)
        try:
            async with asyncio.timeout_at(deadline):
                # What is shielded goes on to its next check, and only then may the next one begin.
                return await asyncio.shield(computing)
        except TimeoutError as error:
            raise DeadlineExceeded(LATE) from error
        finally:
            given_up.set()

    def close(self) -> None:
        """Gives up what is being computed, and gives back the thread and the memory."""
        if self._given_up is not None:
            self._given_up.set()
        self._pool.shutdown()
        self._forget()

    def _finish(self, computing: asyncio.Future[Explanation]) -> None:
        computing.exception()  # nobody else may be there to see it
        self._given_up = None
        if self._release is not None:
            self._release.cancel()
        self._release = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._forget)

    def _forget(self) -> None:
        if self._given_up is None:
            self._network = None

    def _compute(self, model: Model, encoded: Encoded, intent: str, given_up: threading.Event) -> Explanation:
        def check() -> None:
            if given_up.is_set():
                raise _GivenUp

        check()
        if self._network is None or self._network[0] != model.digest:
            self._network = None  # not two at once
            self._network = model.digest, _network(model)
        network = self._network[1]
        return explain_text(network, encoded, model.manifest.intents.index(intent), intent, check=check)


def _network(model: Model) -> GradientNetwork:
    try:
        if model.backend == "torch":
            from services.intent.explanation.torch_gradients import TorchGradients

            return TorchGradients(model.source, neutral=model.neutral_id)
        from services.intent.explanation.openvino_gradients import OpenVinoGradients

        return OpenVinoGradients(model.source, neutral=model.neutral_id)
    except ModuleNotFoundError as error:
        raise Unavailable(f"explanations need the package {error.name}, which is not installed") from error
    except ModelRejected as error:
        raise Unavailable(f"the model cannot be explained: {error}") from error

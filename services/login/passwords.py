"""Passwords: which ones are good enough, and how they are kept (argon2id)."""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from prometheus_client import Histogram

from services.login.common_passwords import guessable
from shared.errors import InvalidInput, Unavailable

__all__ = ["Passwords", "check_password", "normalise_password"]

MIN_LENGTH = 12
MAX_LENGTH = 128

SECONDS = Histogram(
    "zhiyin_login_password_seconds",
    "Time a password check took, its waiting included",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)

T = TypeVar("T")


def normalise_password(password: str) -> str:
    """The form in which a password is hashed: keyboards write the same letter in different ways and widths."""
    return unicodedata.normalize("NFKC", password)


def check_password(password: str, username: str, display_name: str = "", *, field: str = "password") -> None:
    """Refuses a normalised password that is easy to guess or hard to type again.

    Raises:
        InvalidInput: it is too short, too long, made of what many take or of the user's names, or has control
            characters.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise InvalidInput(f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters", field=field)
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in password):
        raise InvalidInput("a password has no control characters", field=field)
    if guessable(password, (username, unicodedata.normalize("NFKC", display_name))):
        raise InvalidInput(
            "this password is among the first that anybody would try: it is made of common words, names, dates or "
            "neighbouring keys",
            field=field,
        )


class Passwords:
    """Hashes and verifies off the event loop, in a few threads, with a bounded queue before them."""

    def __init__(self, *, memory_kib: int, iterations: int, parallelism: int, threads: int, queue: int) -> None:
        self._hasher = PasswordHasher(time_cost=iterations, memory_cost=memory_kib, parallelism=parallelism)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="password")
        self._room = threads + queue
        self._dummy = self._hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        """The argon2id hash of a password, parameters and salt included.

        Raises:
            Unavailable: too many passwords are waiting already.
        """
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether it is the password; no stored hash costs the same time as a wrong password.

        Raises:
            Unavailable: too many passwords are waiting already.
        """
        return await self._run(lambda: self._matches(stored or self._dummy, password)) and stored is not None

    def outdated(self, stored: str) -> bool:
        """Whether a hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """Lets the threads go once they have finished."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (Argon2Error, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._room <= 0:
            raise Unavailable("too many log-ins at once", retry_after=1)
        self._room -= 1
        try:
            with SECONDS.time():
                return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._room += 1

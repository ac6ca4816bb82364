"""What loading took for a moment goes back to the system, where the C library is one that can be told."""

import ctypes
import subprocess
import sys

import pytest

from shared.nlu.engines.allocator import give_back_early

# By itself glibc takes a block that was freed for a sign to keep others of its size.
BLOCKS = """
import ctypes
from shared.nlu.engines.allocator import give_back_early

class Figures(ctypes.Structure):
    _fields_ = [(f"field{number}", ctypes.c_size_t) for number in range(10)]

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
libc.mallinfo2.restype = Figures
if {told}:
    give_back_early()
libc.free(libc.malloc(20 << 20))
# The fifth figure: bytes in blocks that have memory of their own.
before = libc.mallinfo2().field4
libc.malloc(20 << 20)
print(libc.mallinfo2().field4 - before >= 20 << 20)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="not a glibc that tells its figures")
def test_a_large_block_has_memory_of_its_own_to_be_given_back() -> None:
    told, by_itself = (
        subprocess.run(
            [sys.executable, "-c", BLOCKS.replace("{told}", str(told))], capture_output=True, text=True, check=True
        ).stdout
        for told in (True, False)
    )
    assert (told, by_itself) == ("True\n", "False\n")


class Other:
    """A C library without `mallopt`."""


@pytest.mark.parametrize("fails", [False, True])
def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    asked: list[object] = []

    def opened(name: object) -> Other:
        asked.append(name)
        if fails:
            raise OSError("no such library")
        return Other()

    monkeypatch.setattr("shared.nlu.engines.allocator.ctypes.CDLL", opened)
    give_back_early()
    assert asked == [None]

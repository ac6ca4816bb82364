import aiohttp
import pytest

from cli.errors import why_unreachable
from tests.servers import free_port


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "no answer within the time"),
        (ValueError("no JSON"), "the answer cannot be read"),
        (ConnectionRefusedError(), "nothing listens there"),
        (ConnectionResetError(), "the connection failed"),
        (aiohttp.ServerDisconnectedError(), "the connection failed"),
    ],
)
def test_what_went_wrong_is_said_in_words(error: Exception, words: str) -> None:
    assert why_unreachable(error) == words


async def test_a_port_where_nothing_listens() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError) as caught:
            await session.get(f"http://127.0.0.1:{free_port()}/")
    assert why_unreachable(caught.value) == "nothing listens there"

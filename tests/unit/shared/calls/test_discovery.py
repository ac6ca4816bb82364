"""Where services are: fixed addresses, and the less busy of several instances."""

import asyncio
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.calls.discovery import Balancer, ConsulDiscovery, FixedDiscovery, PinnedLogin, split_address
from shared.calls.registration import Instance
from shared.errors import Unavailable
from tests.tokens import TokenFactory


def instance(number: int) -> Instance:
    return Instance(id=f"shop-{number}", service="shop", host="127.0.0.1", port=number)


async def test_fixed_addresses_and_the_clusters_names() -> None:
    fixed = FixedDiscovery({"login": "127.0.0.1:8001"}, "http://{name}:80")
    assert [each.url for each in await fixed.instances("login")] == ["http://127.0.0.1:8001"]
    assert [each.url for each in await fixed.instances("intent")] == ["http://intent:80"]
    assert await FixedDiscovery({}).instances("login") == ()
    await fixed.close()


@pytest.mark.parametrize(
    "address",
    ["", "host", "host:", ":80", "host:port", "ftp://host:1", "http://host/path", "http://a@host:1", "host:1?q"],
)
def test_an_address_needs_host_and_port(address: str) -> None:
    with pytest.raises(ValueError):
        split_address(address)


async def test_without_consul_the_fallback_addresses_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nobody waits for a list from a Consul that refuses: this patience would outlast the deadline.
    monkeypatch.setattr("shared.calls.discovery.FIRST_LIST_SECONDS", 600.0)
    discovery = ConsulDiscovery(
        "http://127.0.0.1:9", FixedDiscovery({"shop": "127.0.0.1:7001"}), proven=TokenFactory().proofs().hold
    )
    async with asyncio.timeout(30):
        (found,) = await discovery.instances("shop")
        assert found.url == "http://127.0.0.1:7001"
        assert await discovery.instances("unknown") == ()
    await discovery.close()


@given(st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,28}[a-z0-9])?", fullmatch=True), st.integers(1, 65535))
def test_an_address_is_host_and_port_with_or_without_a_scheme(host: str, port: int) -> None:
    assert split_address(f"{host}:{port}") == ("http", host, port)
    assert split_address(f"http://{host}:{port}/") == ("http", host, port)
    assert split_address(f"https://{host}:{port}") == ("https", host, port)
    assert split_address(f"http://{host}") == ("http", host, 80)
    assert split_address(f"https://{host}/") == ("https", host, 443)


async def test_an_address_by_tls_and_one_of_ipv6_are_called_as_they_are_given() -> None:
    fixed = FixedDiscovery({"login": "https://login.example.com", "intent": "http://[::1]:8002"})
    assert [(await fixed.instances(name))[0].url for name in ("login", "intent")] == [
        "https://login.example.com:443",
        "http://[::1]:8002",
    ]


async def test_login_is_where_the_settings_say_and_nobody_else_is_asked() -> None:
    class Registry:
        asked: ClassVar[list[str]] = []

        async def instances(self, service: str) -> tuple[Instance, ...]:
            self.asked.append(service)
            return (instance(7),)

        async def close(self) -> None:
            return None

    pinned = PinnedLogin(FixedDiscovery({"login": "127.0.0.1:8001"}), Registry())
    assert [each.url for each in await pinned.instances("login")] == ["http://127.0.0.1:8001"]
    assert [each.port for each in await pinned.instances("business")] == [7]
    assert await PinnedLogin(FixedDiscovery({}), Registry()).instances("login") == ()
    assert Registry.asked == ["business"]


async def test_a_clusters_name_stands_for_several_instances_and_a_fixed_address_for_one() -> None:
    fixed = FixedDiscovery({"login": "127.0.0.1:8001"}, "http://{name}:80")
    found = [(await fixed.instances(name))[0].several for name in ("login", "intent")]
    assert found == [False, True]


async def test_the_less_busy_instance_is_picked_until_its_requests_have_ended() -> None:
    balancer, both = Balancer(), (instance(1), instance(2))
    async with balancer.using(both[0]):
        assert {balancer.pick("shop", both).port for _ in range(20)} == {2}
        async with balancer.using(both[1]), balancer.using(both[1]):
            assert {balancer.pick("shop", both).port for _ in range(20)} == {1}
        assert {balancer.pick("shop", both).port for _ in range(20)} == {2}
    with pytest.raises(ConnectionError):
        async with balancer.using(both[0]):
            raise ConnectionError
    async with balancer.using(both[1]):
        assert {balancer.pick("shop", both).port for _ in range(20)} == {1}, "a request that failed has ended too"


async def test_without_an_instance_the_answer_says_when_to_come_back() -> None:
    with pytest.raises(Unavailable, match="no instance of shop is known") as refused:
        Balancer().pick("shop", ())
    assert refused.value.headers == {"Retry-After": "2"}

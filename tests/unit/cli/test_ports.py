"""A port that is taken: by whom, for what, and which setting moves it."""

import socket

import pytest

from cli import ports
from cli.errors import EnvironmentUnfit


def test_free_ports_are_different_and_free() -> None:
    found = ports.free_ports(5)
    assert len(set(found)) == 5
    ports.require_free("127.0.0.1", [(port, "a test", "ZHIYIN_X") for port in found])


def test_a_taken_port_is_named_with_its_holder() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        message = rf"^Port {port} for the chat page is in use by .+ \(process \d+\); .* ZHIYIN_DIALOGUE_PORT\.$"
        with pytest.raises(EnvironmentUnfit, match=message):
            ports.require_free("127.0.0.1", [(port, "the chat page", "ZHIYIN_DIALOGUE_PORT")])


def test_an_address_that_is_not_of_this_machine() -> None:
    with pytest.raises(EnvironmentUnfit, match="cannot be used"):
        ports.require_free("192.0.2.1", [(ports.free_ports(1)[0], "Redis", "ZHIYIN_REDIS_PORT")])


def test_one_port_for_two_things() -> None:
    (port,) = ports.free_ports(1)
    with pytest.raises(EnvironmentUnfit, match="is set for both Redis and Consul"):
        ports.require_free("127.0.0.1", [(port, "Redis", "A"), (port, "Consul", "B")])


def test_nobody_holds_a_free_port() -> None:
    assert ports.holder_of(ports.free_ports(1)[0]) is None

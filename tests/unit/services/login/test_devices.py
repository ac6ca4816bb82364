"""Known devices: whose proof is good, and for how long."""

from pydantic import SecretStr

from services.login.devices import Devices
from services.login.models import Account
from services.login.settings import DAY, Settings
from tests.clocks import Clock


def account(**changes: str) -> Account:
    return Account(**({"id": "1", "tenant": "default", "username": "lilei", "password_hash": "argon2"} | changes))


def test_a_device_is_recognised_until_its_days_are_over(clock: Clock) -> None:
    devices = Devices(Settings(device_days=2), clock)
    proof = devices.issue(account())
    name = devices.recognised(account(), proof)
    assert name
    clock.advance(2 * DAY - 1)
    assert devices.recognised(account(), proof) == name
    clock.advance(1)
    assert devices.recognised(account(), proof) is None


def test_a_device_is_that_of_one_account_with_one_password(clock: Clock) -> None:
    devices = Devices(Settings(), clock)
    proof = devices.issue(account())
    for other in (account(id="2"), account(tenant="acme"), account(password_hash="changed"), None):
        assert devices.recognised(other, proof) is None
    assert devices.recognised(account(), None) is None


def test_what_was_not_issued_is_not_recognised(clock: Clock) -> None:
    devices = Devices(Settings(), clock)
    proof = devices.issue(account())
    head, _, mac = proof.rpartition(".")
    for forged in (
        "",
        ".",
        "..",
        "x",
        f"1{head}.{mac}",
        f"{head}.",
        f"{head}.{mac[:-1]}",
        f"{head}..{mac}",
        "李.雷.梅",
    ):
        assert devices.recognised(account(), forged) is None, forged


def test_a_device_is_recognised_when_the_login_secret_was_replaced(clock: Clock) -> None:
    proof = Devices(Settings(), clock).issue(account())
    new = SecretStr("x" * 40)
    later = Devices(Settings(login_secret=new, login_secret_accepted=Settings().login_secret), clock)
    assert later.recognised(account(), proof)
    assert later.recognised(account(), later.issue(account()))
    last = Devices(Settings(login_secret=new), clock)
    assert last.recognised(account(), proof) is None
    assert last.recognised(account(), later.issue(account())), "new ones are made with the new secret"


def test_devices_have_names_of_their_own(clock: Clock) -> None:
    devices = Devices(Settings(), clock)
    names = {devices.recognised(account(), devices.issue(account())) for _ in range(5)}
    assert len(names) == 5

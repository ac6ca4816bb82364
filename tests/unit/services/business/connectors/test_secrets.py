import os
from pathlib import Path

import pytest

from services.business.connectors.secrets import Secrets
from shared.assistants.plugins import NotSent


def write(folder: Path, value: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / ".new"
    new.write_text(value, encoding="utf-8")
    new.replace(folder / "core-token")


def test_a_secret_is_a_file_that_may_change(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path, {"ZHIYIN_SECRET_ACME_BANK_CORE_TOKEN": "of-the-environment"})
    assert secrets.read("acme", "bank", "core-token") == "of-the-environment"
    write(tmp_path / "acme" / "bank", "first\n")
    assert secrets.read("acme", "bank", "core-token") == "first"
    write(tmp_path / "acme" / "bank", "other\n")
    assert secrets.read("acme", "bank", "core-token") == "other"
    (tmp_path / "acme" / "bank" / "core-token").unlink()
    assert secrets.read("acme", "bank", "core-token") == "of-the-environment"


def test_a_secret_in_a_volume_of_kubernetes_changes_with_its_link(tmp_path: Path) -> None:
    for version in ("one", "two"):
        write(tmp_path / version, f"value-{version}")
    folder = tmp_path / "acme"
    folder.mkdir()
    link = folder / "bank"
    link.symlink_to(tmp_path / "one")
    secrets = Secrets(tmp_path, {})
    assert secrets.read("acme", "bank", "core-token") == "value-one"
    os.symlink(tmp_path / "two", folder / "new")
    (folder / "new").replace(link)
    assert secrets.read("acme", "bank", "core-token") == "value-two"


@pytest.mark.parametrize(
    ("tenant", "assistant", "name"),
    [
        ("..", "bank", "core-token"),
        ("acme", "..", "core-token"),
        ("acme", "bank", "../shop/core-token"),
        ("acme", "bank", "..%2fcore-token"),
        ("acme/bank", "bank", "core-token"),
        ("acme", "bank", ""),
        ("acme", "bank", "core\x00"),
        ("acme", "shop", "core-token"),
        ("other", "bank", "core-token"),
        ("acme", "bank", "."),
    ],
)
def test_nobody_names_anothers_secret(tmp_path: Path, tenant: str, assistant: str, name: str) -> None:
    write(tmp_path / "acme" / "bank", "s3cret")
    with pytest.raises(NotSent) as caught:
        Secrets(tmp_path, {}).read(tenant, assistant, name)
    assert "s3cret" not in str(caught.value)


def test_a_variable_that_could_be_anothers_is_not_taken(tmp_path: Path) -> None:
    """`acme-bank` and `card` would be the same variable as `acme` and `bank-card`."""
    secrets = Secrets(tmp_path, {"ZHIYIN_SECRET_ACME_BANK_CARD_KEY": "s3cret"})
    assert secrets.read("acme", "bank", "card.key") == "s3cret"
    for tenant, assistant, name in (
        ("acme-bank", "card", "key"),
        ("acme", "bank-card", "key"),
        ("acme", "bank_card", "key"),
    ):
        with pytest.raises(NotSent, match="is missing"):
            secrets.read(tenant, assistant, name)


@pytest.mark.parametrize("value", ["", "\n", "two\nlines", "a\x00b"])
def test_what_is_no_secret_is_refused_without_its_value(tmp_path: Path, value: str) -> None:
    write(tmp_path / "acme" / "bank", value)
    with pytest.raises(NotSent, match="the secret 'core-token'") as caught:
        Secrets(tmp_path, {}).read("acme", "bank", "core-token")
    assert "lines" not in str(caught.value)

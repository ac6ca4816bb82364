"""The first accounts and the services' own credentials: made once, with random passwords, below the state folder."""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.consul_tokens import ConsulTokens, load_consul_tokens
from cli.errors import EnvironmentUnfit
from cli.home import Home, write_atomically

__all__ = ["Bootstrap", "load_bootstrap"]

PASSWORD_BYTES = 12
SECRET_BYTES = 32
REQUIRE = "requirepass "

ACCOUNTS: tuple[dict[str, Any], ...] = (
    {"username": "lilei", "roles": ["customer"], "customer": "C1001", "display_name": "李雷 Li Lei"},
    {"username": "hanmeimei", "roles": ["customer"], "customer": "C1002", "display_name": "韩梅梅 Han Meimei"},
    {"username": "agent", "roles": ["agent"], "customer": None, "display_name": "Agent"},
    {"username": "operator", "roles": ["operator"], "customer": None, "display_name": "Operator"},
    {"username": "admin", "roles": ["admin"], "customer": None, "display_name": "Admin"},
)

CLIENTS: tuple[dict[str, Any], ...] = (
    {
        "client_id": "dialogue",
        "scopes": [
            "intent:predict",
            "business:lookup",
            "business:actions",
            "learning:read",
            "learning:report",
            "login:gateway",
        ],
    },
    {"client_id": "intent", "scopes": ["learning:read", "learning:report"]},
    {"client_id": "business", "scopes": ["learning:read", "learning:report"]},
    {"client_id": "worker", "scopes": ["learning:read"]},
    {"client_id": "learning", "scopes": ["intent:predict"]},
)


@dataclass(frozen=True)
class Bootstrap:
    """What login reads at its start (`path`), the secret that its keys are encrypted with, and Consul's tokens.

    `redis_conf` is the file that Redis reads its password from: arguments can be seen by everybody on the machine.
    """

    path: Path
    login_secret: str
    redis_conf: Path
    redis_password: str
    accounts: tuple[dict[str, Any], ...]
    clients: tuple[dict[str, Any], ...]
    consul: ConsulTokens

    def password(self, username: str) -> str:
        """The password of an account."""
        return next(str(each["password"]) for each in self.accounts if each["username"] == username)

    def client_secret(self, client_id: str) -> str:
        """The secret of a service; empty for one that has no credentials."""
        return next((str(each["client_secret"]) for each in self.clients if each["client_id"] == client_id), "")


def load_bootstrap(home: Home, *, demo: bool = True) -> Bootstrap:
    """The accounts and clients of this state folder; what is missing is made, what is there stays.

    Args:
        demo: whether the demo shop's customers are among the accounts.

    Raises:
        EnvironmentUnfit: the file cannot be read.
    """
    path = home.secrets / "bootstrap.json"
    try:
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"accounts": [], "clients": []}
        accounts = {each["username"]: each for each in known["accounts"]}
        clients = {each["client_id"]: each for each in known["clients"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EnvironmentUnfit(f"{path} cannot be read ({type(error).__name__}); restore it, or delete it.") from error
    for account in ACCOUNTS:
        if account["customer"] and not demo:
            continue
        fresh = {**account, "password": secrets.token_urlsafe(PASSWORD_BYTES)}
        accounts[account["username"]] = {**fresh, **accounts.get(account["username"], {})}
    for client in CLIENTS:
        old = clients.get(client["client_id"], {})
        secret = old.get("client_secret") or secrets.token_urlsafe(SECRET_BYTES)
        clients[client["client_id"]] = {**client, "client_secret": secret}
    document = {"accounts": list(accounts.values()), "clients": list(clients.values())}
    if document != known:
        write_atomically(path, json.dumps(document, ensure_ascii=False, indent=2) + "\n", mode=0o600)
    redis_conf = home.secrets / "redis.conf"
    return Bootstrap(
        path=path,
        login_secret=load_secret(home.secrets / "login"),
        redis_conf=redis_conf,
        redis_password=load_secret(redis_conf, before=REQUIRE),
        accounts=tuple(accounts.values()),
        clients=tuple(clients.values()),
        consul=load_consul_tokens(home),
    )


def load_secret(path: Path, *, before: str = "") -> str:
    """The secret in a file, behind what stands before it; made when the file is not there.

    Raises:
        EnvironmentUnfit: the file cannot be read.
    """
    try:
        if not path.exists():
            write_atomically(path, f"{before}{secrets.token_urlsafe(SECRET_BYTES)}\n", mode=0o600)
        return path.read_text(encoding="utf-8").strip().removeprefix(before)
    except (OSError, ValueError) as error:
        raise EnvironmentUnfit(f"{path} cannot be read ({type(error).__name__}); restore it from a copy.") from error

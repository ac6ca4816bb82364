"""Makes the secrets that compose.yml needs, once: `.env` and `secrets/` beside it; what is there stays.

Needs Python 3.11 and nothing else: `python3 deploy/compose/prepare.py`; with `--demo` the demo shop is in it, and every
visitor is one of its customers.
"""

import secrets
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

from cli.bootstrap import load_bootstrap  # noqa: E402
from cli.consul_tokens import REGISTERED  # noqa: E402
from cli.home import Home, write_atomically  # noqa: E402

SECRET_BYTES = 32
STORES = {
    "redis": {"admin": "REDIS_PASSWORD"}
    | {name: f"REDIS_PASSWORD_{name.upper()}" for name in ("login", "dialogue", "business", "worker")},
    "postgresql": {"superuser": "POSTGRESQL_PASSWORD"}
    | {name: f"POSTGRESQL_PASSWORD_{name.upper()}" for name in ("login", "dialogue", "business")},
}
"""Folders below `secrets`, with the names of users and the variables that have their passwords."""

DEMO = {"ZHIYIN_ENVIRONMENT": "development", "ZHIYIN_DEMO": "true", "ZHIYIN_DEMO_PUBLIC": "true"}

STARTED = tuple(name for name in REGISTERED if name != "learning")
"""What compose starts; learning runs on one machine so far."""


def prepare(folder: Path, *, demo: bool) -> None:
    """Writes the secrets into a folder and says where they are."""
    home = Home(folder)
    home.secrets.mkdir(mode=0o700, exist_ok=True)
    made = load_bootstrap(home, demo=demo)
    # Programs in containers read it as other users; other users of this machine are kept out by the folder's mode.
    made.path.chmod(0o644)
    settings = folder / ".env"
    lines = settings.read_text(encoding="utf-8").splitlines() if settings.exists() else []
    variables = {
        **{name: secrets.token_urlsafe(SECRET_BYTES) for users in STORES.values() for name in users.values()},
        **dict(line.split("=", 1) for line in lines if "=" in line),
        "LOGIN_SECRET": made.login_secret,
        "CONSUL_MANAGEMENT_TOKEN": made.consul.management,
        **{f"CONSUL_TOKEN_{name.upper()}": made.consul.services[name] for name in STARTED},
        **{f"{name.upper()}_CLIENT_SECRET": made.client_secret(name) for name in STARTED if made.client_secret(name)},
        **(DEMO if demo else {}),
    }
    write_atomically(settings, "".join(f"{name}={value}\n" for name, value in variables.items()))
    for store, users in STORES.items():
        (home.secrets / store).mkdir(exist_ok=True)
        (home.secrets / store).chmod(0o755)
        for user, variable in users.items():
            write_atomically(home.secrets / store / user, variables[variable], mode=0o644)
    sys.stdout.write(f"The secrets are in {settings} and the first accounts' passwords in {made.path}.\n")


if __name__ == "__main__":
    prepare(FOLDER, demo="--demo" in sys.argv[1:])

"""The tokens of one machine's Consul: made once, random, below the state folder."""

import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.errors import EnvironmentUnfit
from cli.home import Home, write_atomically

__all__ = ["READER", "REGISTERED", "ConsulTokens", "load_consul_tokens"]

MANAGEMENT: Final = "management"
READER: Final = "status"
"""The token that only reads, for people who look what runs."""
REGISTERED = ("login", "learning", "intent", "business", "worker", "dialogue")
"""What registers in Consul, in the order in which it is started."""


@dataclass(frozen=True)
class ConsulTokens:
    """The management token, those of the services and the reader's by name; `agent` is a file for Consul itself."""

    management: str
    services: dict[str, str]
    agent: Path


def load_consul_tokens(home: Home) -> ConsulTokens:
    """The tokens of this state folder; what is missing is made, what is there stays.

    Raises:
        EnvironmentUnfit: the file cannot be read.
    """
    path = home.secrets / "consul-tokens.json"
    names = (MANAGEMENT, *REGISTERED, READER)
    try:
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        tokens = {name: str(known[name]) if name in known else str(uuid.uuid4()) for name in names}
    except (OSError, ValueError, TypeError) as error:
        raise EnvironmentUnfit(f"{path} cannot be read ({type(error).__name__}); restore it, or delete it.") from error
    if tokens != known:
        write_atomically(path, json.dumps(tokens, indent=2) + "\n", mode=0o600)
    management = tokens.pop(MANAGEMENT)
    agent = home.secrets / "consul-agent.json"
    # `master` is what every version of Consul understands; newer ones call it `initial_management`.
    acl = {"enabled": True, "default_policy": "deny", "tokens": {"master": management}}
    write_atomically(agent, json.dumps({"acl": acl}) + "\n", mode=0o600)
    return ConsulTokens(management, tokens, agent)

"""Two installations that share a Redis and a name would take each other's work: the second one is refused."""

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.errors import ConfigurationError

__all__ = ["claim_prefix"]

log = structlog.get_logger(__name__)

CALL_SECONDS = 2.0


async def claim_prefix(redis_url: str, installation: str, service: str, identity: str) -> None:
    """Says in Redis whose the keys of this installation's service are. A Redis that is away is not waited for.

    Args:
        identity: what the service's database says, the same for all of its processes.

    Raises:
        ConfigurationError: they are another installation's.
    """
    key = f"{installation}:installation:{service}"
    client: Redis = Redis.from_url(redis_url, socket_connect_timeout=CALL_SECONDS, socket_timeout=CALL_SECONDS)
    try:
        await client.set(key, identity, nx=True)
        owner = await client.get(key)
    except (RedisError, OSError, TimeoutError) as error:
        log.warning("installation_not_compared", error=type(error).__name__)
        return
    finally:
        await client.aclose()
    if owner != identity.encode():
        raise ConfigurationError(
            f"this Redis serves another installation with the name {installation!r}; give this one a name of its own "
            f"(ZHIYIN_INSTALLATION) or a Redis of its own. If {service}'s database was replaced, delete the key {key}"
        )

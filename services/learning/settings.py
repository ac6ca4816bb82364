"""Settings of the learning service."""

from typing import Annotated

from pydantic import Field

from shared.settings import ServiceSettings

__all__ = ["Settings"]

Seconds = Annotated[float, Field(gt=0)]


class Settings(ServiceSettings):
    """What learning needs beyond what every service has."""

    store: str = ""
    """Where bundles are kept: a folder, or a URL such as `s3://bucket/bundles`; by default `data/bundles` in `home`."""
    mlflow_uri: str = ""
    """The tracking server's URL, or `sqlite:///` and a path; by default `mlflow.db` in `home`."""
    provers: tuple[str, ...] = ("dialogue", "business", "intent")
    """The services that must have loaded a release before it is ready; one instance of each is enough."""
    proving_seconds: Seconds = 90.0
    """So long they may take; after that the release is refused."""
    training_seconds: Seconds = 6 * 3600.0
    """A training that takes longer is ended, and its release refused."""
    releases_at_once: Annotated[int, Field(ge=1, le=32)] = 4
    """Of different assistants; those of one are worked on one after another."""
    look_seconds: Seconds = 1.0
    """How often a replica looks for what others have changed."""

    @property
    def store_url(self) -> str:
        """The store of bundles."""
        return self.store or str(self.home.absolute() / "data" / "bundles")

    @property
    def learning_database(self) -> str:
        """The database of the replicas."""
        return self.database("learning")

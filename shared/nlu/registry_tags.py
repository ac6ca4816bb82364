"""What a version is tagged with in MLflow's model registry, so that learning and serving mean the same."""

__all__ = ["COMPARISON_TAG", "DIGEST_TAG", "FORCED_TAG", "VERSION_TAG", "WITHDRAWN_TAG"]

VERSION_TAG = "zhiyin.version"
"""The name of the model folder."""
DIGEST_TAG = "zhiyin.digest"
"""The SHA-256 of the manifest, which names the digests of all files."""
COMPARISON_TAG = "zhiyin.comparison"
"""How the version compared with what was in production then, as JSON."""
FORCED_TAG = "zhiyin.forced"
"""`true` where a person put the version in production although it is worse."""
WITHDRAWN_TAG = "zhiyin.withdrawn"
"""`true` where a person put another version in this one's place: training does not bring it back."""

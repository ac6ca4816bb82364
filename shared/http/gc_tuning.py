"""When Python looks for garbage: seldom, and never among what the process keeps for good.

A pass over everything that a service with a model holds takes a tenth of a second, in which no request is answered;
and a few thousand requests bring one about.
"""

import gc

__all__ = ["keep_what_there_is"]

THRESHOLDS = (10_000, 20, 50)
"""New objects until the youngest are looked through, and how often until the next older ones are."""


def keep_what_there_is() -> None:
    """Collects what is garbage now; what stays is not looked at again until the next call."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)

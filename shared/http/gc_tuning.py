"""Tunes garbage collection: it runs rarely, and never over objects that the process keeps for good.

A full collection in a service with a model takes a tenth of a second, in which no request is answered, and with
Python's thresholds a few thousand requests trigger one.
"""

import gc

__all__ = ["keep_what_there_is"]

THRESHOLDS = (10_000, 20, 50)
"""The thresholds of the three generations, as `gc.set_threshold` takes them."""


def keep_what_there_is() -> None:
    """Collects garbage now and freezes what remains, so that it is not scanned again until the next call."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)

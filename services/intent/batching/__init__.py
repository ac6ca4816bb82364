"""From many callers to batches: the queue, its order, the cache of answers."""

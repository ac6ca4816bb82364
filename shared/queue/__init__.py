"""The Celery queue on Redis, as every service sees it."""

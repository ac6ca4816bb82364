"""The Celery worker: consumer, performer, supervision."""

"""Calls between services: registration, discovery, client, circuit breakers."""

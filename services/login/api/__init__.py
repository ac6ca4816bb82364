"""HTTP in and out: people, services, administration."""

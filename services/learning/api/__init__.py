"""HTTP in and out: bundles, releases, aliases, and what services follow."""

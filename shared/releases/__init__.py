"""Releases as services follow them: fetched, verified, kept on disk, loaded beside what is live, swapped in."""

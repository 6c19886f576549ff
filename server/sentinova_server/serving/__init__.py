"""Served models: versions and their states, leases, batching, the text pipeline. Knows no transport."""

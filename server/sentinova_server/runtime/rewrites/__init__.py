"""Exact rewrites of OpenVINO graphs: the same results with less work."""

"""Robots, scenes and sample recordings, found by name."""

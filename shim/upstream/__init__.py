"""Connections to Restate's admin API."""

"""The shim's own endpoints."""

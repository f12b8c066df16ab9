"""Addresses, listening sockets, TLS contexts."""

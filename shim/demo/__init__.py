"""The shim at work on the real thing: a Restate server, a service, old-style callers.

The same server and service are what the tests under ``tests/real`` run against.
"""

"""Black-box tests of the bytes on both sides of a running shim.

A scripted origin stands where Restate's admin API stands, a raw client where a caller stands, and
the shim runs between them as the process people start (`tests.support`: `origin`, `client`,
`running`).  The package is imported only to read what it has left in a ledger.
"""

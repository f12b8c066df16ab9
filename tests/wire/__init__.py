"""Black-box tests of the bytes on both sides of a running shim.

A scripted origin (`origin`) stands where Restate's admin API stands, a raw client (`client`)
where a caller stands, and the shim runs between them as the process people start
(`running`).  Nothing here imports the shim.
"""

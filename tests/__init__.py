"""Tests, in rooms of the same names as those of :mod:`shim`; and beside them, over the whole of it:

wire
    Black box: the bytes on both sides of a running shim, before a scripted origin.
real
    The shim before real Restate servers.
deploy
    What is under ``deploy/``, built, rendered and run.
bench
    What a request costs, beside other proxies.
fuzz
    Mutated messages, and what holds for all of them.
soak
    A shim under load and faults, for as long as one likes.
support
    What modules of tests share; none imports another.
contract
    What real servers were seen to answer.
"""

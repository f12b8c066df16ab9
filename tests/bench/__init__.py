"""The shim beside other proxies, in one run: ``python -m tests.bench`` (``make bench``).

``programs`` starts and ends processes and says on which core they run, ``origin`` answers as
Restate does, ``shims`` and ``peers`` stand before it, ``load`` asks, ``accounting`` reads what it
cost, ``scenarios`` lists what is asked, ``run`` goes round, ``results``, ``markdown`` and ``chart``
are what comes out.  ``ledger`` is a benchmark of its own, of the record at scale.
"""

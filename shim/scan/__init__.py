"""Where source trees make the old call: found before they make it.

From the bottom up: ``finding`` (what is found), ``judging`` (whether a call is the old one, and how
sure that is), ``languages`` (the rules, as data), ``nodes``, ``values``, ``assignments`` and
``trees`` (what is called in a program, with what), ``programs`` (what that comes to),
``commands`` (command lines), ``pins`` (versions), ``documents`` (files that hold others),
``rewriting`` (the new call in place of the old), ``files`` (what is read), ``scan`` (all of it).
"""

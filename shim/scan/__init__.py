"""Where source trees make the old call: found before they make it.

From the bottom up: ``finding`` (what is found), ``judging`` (whether a call is the old one, and how
sure that is), ``languages`` (the rules, as data), ``nodes``, ``values``, ``assignments``,
``sources``, ``expressions`` and ``trees`` (what is called in a program, with what), ``programs``
(what that comes to); ``excerpts`` (a text within another), ``lines``, ``variables``, ``words`` and
``arguments`` (what a command line says), ``commands`` (what it asks for); ``requests``,
``json_tree``, ``json_requests``, ``rest_files``, ``openapi`` and ``loose`` (requests that are data,
kind by kind); ``pins`` (versions); ``kinds`` (of files), ``embedded`` (what they hold of other
languages), ``documents`` (all that a file holds); ``rewriting`` (the new call in place of the old),
``files`` (what is read), ``scan`` (all of it).
"""

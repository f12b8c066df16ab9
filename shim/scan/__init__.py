"""Where source trees make the old call: found before they make it.

From the bottom up: ``finding`` (what is found), ``judging`` (whether a call is the old one, and how
sure that is), ``languages`` (the rules, as data), ``nodes``, ``values``, ``templates``,
``assignments``, ``sources``, ``expressions``, ``statements``, ``parameters``, ``interfaces`` and
``trees`` (what is called in a program, with what), ``surroundings`` (what stands around a path);
``excerpts`` (a text within another), ``lines``, ``variables``, ``words`` and ``arguments`` (what a
command line says), ``commands`` (what it asks for); ``parts``, ``requests``, ``json_tree``,
``json_requests``, ``rest_files``, ``openapi`` and ``loose`` (requests that are data, kind by kind);
``pins`` (versions); ``urls``, ``rewriting``, ``rewriting_calls``, ``rewriting_commands`` (the new
call in place of the old), ``unheeded_calls`` and ``unheeded_commands`` (where it may be put there
without a person), ``showing`` (both beside each other); ``programs`` (what the calls of a program
come to); ``kinds`` (of files), ``embedded`` (what they hold of other languages), ``documents`` (all
that a file holds); ``silencing``, ``redacting``, ``files`` (what is read), ``scan`` (all of it);
``diffs`` and ``fixing`` (what is written).
"""

"""Parts of a user's own in place of the shipped ones: kinds, where a part may come from, how it is loaded.

A part is a class. It is named `module:Class` or by the name of an entry point, and built from plain `options`. Settings
carry the name, so it reaches every process of a run in the way that settings do; the class is imported there.

    kind       the kinds of parts, each with the protocol that a class of the kind must have
    declared   the names that this process may import, and the folder of modules beside a scenario
    loading    from a name to a class, and from a class to an instance
"""

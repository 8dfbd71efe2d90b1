"""Typed flags written from what is known of them: a configuration, or a manifest of OpenFeature's command line.

    shapes          of which type the values of a flag are
    configuration   the flags of a compiled configuration, with the defaults that they get in code
    manifest        reading and writing OpenFeature's manifest
    names           keys as identifiers
    literals        values and texts as Python writes them
    module          the Python module

Nothing here reads or writes files; that is cli/codegen.py. The same flags give the same text, whatever the machine.
"""

"""What an optional package is missing for, in one line with the command that installs it."""

from __future__ import annotations


def missing(what: str, package: str, extra: str) -> ImportError:
    """The error to raise when `package` cannot be imported. what: the thing that needs it, in the singular.

    `raise missing("the OpenFeature provider", "openfeature-sdk", "openfeature") from error`
    """
    return ImportError(f"{what} needs the package {package}: pip install 'pyflagwasm[{extra}]'")

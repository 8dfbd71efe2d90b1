"""What an optional package is missing for, in one line with the command that installs it."""

from __future__ import annotations

from importlib.util import find_spec


def missing(what: str, package: str, extra: str) -> ImportError:
    """The error to raise when `package` cannot be imported. what: the thing that needs it, in the singular.

    `raise missing("the OpenFeature provider", "openfeature-sdk", "openfeature") from error`
    """
    return ImportError(f"{what} needs the package {package}: pip install 'pyflagwasm[{extra}]'")


def needed(what: str, package: str, extra: str) -> None:
    """Raises that error if `package` is not installed. Does not import it, which may take a tenth of a second."""
    try:
        found = find_spec(package) is not None
    except ImportError:
        found = False
    except ValueError:  # something that was put in its place has no spec
        found = True
    if not found:
        raise missing(what, package, extra)

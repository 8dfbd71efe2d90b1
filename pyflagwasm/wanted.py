"""Arguments of a wrong type, told in one line that says what is wanted."""

from __future__ import annotations

from numbers import Integral, Real


def a(value: object) -> str:
    """The type of a value with its article: `a str`, `an int`; or None."""
    if value is None:
        return "None"
    name = type(value).__qualname__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def number(name: str, value: object, *, whole: bool = False) -> None:
    """Raises TypeError for an argument that is no number. whole: for one that is no integer."""
    if not isinstance(value, Integral if whole else Real):
        raise TypeError(f"{name} is {'a whole' if whole else 'a'} number, not {a(value)}: {value!r}")

"""The flags of a loaded configuration as code declares them. The core is asked for what they give; nothing is guessed.

Which default is safe? It is given where the configuration gives nothing: it could not be loaded, the flag is disabled,
gone, or of another type by now. A boolean is false then: nothing is switched on by an accident. For everything else
false has no counterpart - an empty text, no fee, are decisions, too - so it is what the configuration gives an empty
context, as it does to those whom no rule knows; or, where that is an error, nothing, chance or a matter of the clock,
the first variant.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..config.model import JSON
from ..generation import Encoded, Flag, Generation, Selection
from ..pool.asking import Instances, decide
from ..runtime import views
from .shapes import ANY, BOOL, FLOAT, OBJECT, STR, Described, Shape, shape_of

_DECLARED = {"boolean": BOOL, "string": STR, "number": FLOAT, "object": OBJECT}


def described(instances: Instances, *, literals: bool = False, served_booleans: bool = False) -> list[Described]:
    """The flags of the live generation, in the order of the configuration.

    literals: whether a flag of texts can only be one of its variants. served_booleans: whether booleans are, by
    default, what an empty context is given, too. Raises GuestError.
    """
    generation = instances.generation
    assert generation is not None
    return list(_described(generation, _served(instances, generation), literals, served_booleans))


def _served(instances: Instances, generation: Generation) -> dict[str, JSON]:
    """What an empty context is given, of the flags that give it the same at any time."""
    steady = [flag for flag in generation.flags.values() if not flag.reads_now and not _draws(flag)]
    selection = Selection(generation, steady)
    outcomes = decide(instances, selection, Encoded(selection, {}, 0), 0)
    return {each.details.flag_key: each.details.value for each in outcomes if each is not None and each.served}


def _draws(flag: Flag) -> bool:
    slots = flag.generation.compiled.slots
    return any(views.draws(slots[number]) for number in flag.entry.slots)


def _described(
    generation: Generation, served: dict[str, JSON], literals: bool, served_booleans: bool
) -> Iterator[Described]:
    for key, flag in generation.flags.items():
        values = [variant.value for variant in flag.entry.variants if variant.error is None]
        shape: Shape = shape_of(values, texts=literals)
        if shape == ANY and not values:
            shape = _DECLARED.get(flag.entry.type or "", ANY)
        default = served.get(key, values[0] if values else _neutral(shape))
        if shape == BOOL and not served_booleans:
            default = False
        about = flag.entry.metadata.get("description")
        yield Described(key, shape, default, about if isinstance(about, str) else None)


def _neutral(shape: Shape) -> JSON:
    """For a flag without variants, whose default is all that it ever gives."""
    if shape == BOOL:
        return False
    return "" if shape == STR else 0.0 if shape == FLOAT else {} if shape == OBJECT else None

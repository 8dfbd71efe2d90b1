"""Flags that are declared once, with their type and their default, and typed wherever they are used.

    class Shop(FlagSet):
        pre_orders = Flag("pre-orders", default=False)
        delivery_fee = Flag("delivery-fee", default=3.5)
        tone = Flag[Literal["plain", "warm"]]("tone", default="plain")

    Shop(flags.bind(user)).delivery_fee                  # a float
    await Shop.pre_orders.value(flags, user)             # a bool
    check(flags, Shop)                                   # at start-up: all that does not go together, at once

Importing this loads no runtime. `pyflagwasm codegen` writes such a class from a configuration.
"""

from .checking import check
from .flag import Bound, Flag, FlagSet, declared

__all__ = ["Bound", "Flag", "FlagSet", "check", "declared"]

"""Expectations worked out by hand from schema/README.md, one line for each fact, for the reference and for the core.

VALUES: operation, its arguments, what it pushes; `value_program` turns a line into a configuration and a request.
Predicates are in predicate_table.py. Flow, buckets and loops, which are no single operation, are in test_reference.py.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from fbs_generated.ErrorCode import ErrorCode
from fbs_generated.Op import Op
from fbs_generated.Order import Order
from fbs_generated.Reason import Reason
from programs import Assembler, Label
from reference_input import MISSING, Memory
from reference_values import Composite, is_list
from samples import HeapWriter, request_of

NAN, INF = math.nan, math.inf
LT, EQ, GT = Order.Less, Order.Equal, Order.Greater
LE, GE, NE = LT | EQ, GT | EQ, LT | GT
GENERAL = ErrorCode.General


class Fails(NamedTuple):
    error: int


class V(NamedTuple):
    op: int
    arguments: list[Any]
    expected: Any
    flags: int = 0
    keys: tuple[str, ...] = ()
    slot: Any = MISSING


def plain(value: Any) -> Any:
    """Text as str, lists and objects as Python's, recursively."""
    if isinstance(value, bytes):
        return value.decode()
    if not isinstance(value, Composite):
        return value
    if is_list(value):
        return [plain(member) for member in value.items]
    return {key.decode(): plain(member) for key, member in value.items}


def loaded(value: Any) -> Any:
    """A Python value as the reference has it in a request."""
    writer = HeapWriter()
    kind, length, bits = writer.write(value)
    return Memory(b"", bytes(writer.heap)).read(kind, 0, length, bits)


I64_MAX, I64_MIN = 2**63 - 1, -(2**63)

VALUES = [
    # equality
    *(V(Op.Equal, pair, True) for pair in ([1, 1.0], [True, 1], [0, False], ["1", 1], [" 1 ", True], [[], 0])),
    *(V(Op.Equal, pair, True) for pair in ([[5], 5], ["1,2", [1, 2]], [["a", [1, None]], "a,1,null"], [None, None])),
    *(V(Op.Equal, pair, True) for pair in ([{}, "[object Object]"], ["", []], [[], ""], [[True], "True"], [None, 0])),
    *(V(Op.Equal, pair, False) for pair in ([NAN, NAN], [None, ""], [None, []], [[1], [1]], ["", 0], [{}, []])),
    *(V(Op.Equal, pair, False) for pair in (["inf", INF], ["a", 0], ["1", "1.0"], [[1, 2], 1], [2**53 + 1, 2.0**53])),
    V(Op.Equal, ["infinity", INF], True),
    V(Op.Equal, [1, 2], True, flags=2),
    *(
        V(Op.Equal, pair, True, flags=1)
        for pair in ([1, 1.0], [True, 1], [[1, [2]], [1.0, [2]]], [{"a": 1}, {"a": 1.0}])
    ),
    *(
        V(Op.Equal, pair, False, flags=1)
        for pair in (["1", 1], [None, False], [[], ""], [2**53 + 1, 2.0**53], [NAN, NAN])
    ),
    *(
        V(Op.Equal, pair, False, flags=1)
        for pair in ([[1], [1, 2]], [{"a": 1}, {"b": 1}], [{"a": 1}, {}], [[None], []])
    ),
    V(Op.Equal, [{"a": 1, "b": 2}, {"b": 2, "a": 1}], True, flags=1),
    V(Op.Equal, ["a", "b"], True, flags=3),
    # order
    *(V(Op.Compare, pair, True, LT) for pair in ([1, 2], [1, 1.5], ["1", 2], [None, 1], ["10", "9"], ["a", "b"])),
    *(
        V(Op.Compare, pair, True, LT)
        for pair in (["Z", "a"], ["\uffff", "😀"], [False, True], [[], [1]], [None, "nulla"])
    ),
    *(V(Op.Compare, pair, False, LT) for pair in ([NAN, 1], [1, NAN], ["a", 1], [{}, {}], [2, 1], [[1, 2], 5])),
    *(V(Op.Compare, pair, True, LE) for pair in ([None, None], [[], None], [[3], [3]], ["1,2", [1, 2]], [None, False])),
    V(Op.Compare, [2.0**53, 2**53 + 1], True, LT),
    V(Op.Compare, [1, 2, 3], True, LT),
    V(Op.Compare, [1, 3, 2], False, LT),
    V(Op.Compare, [1, 2, None], True, LT),
    V(Op.Compare, [NAN, NAN], False, LE | GT),
    # membership
    V(Op.In, ["b", ["a", "b"]], True),
    V(Op.In, ["1", [1]], False),
    V(Op.In, [True, [1.0]], True),
    V(Op.In, [[1], [[1.0]]], True),
    V(Op.In, [1, "a1"], True),
    V(Op.In, [1.0, "a1"], True),
    V(Op.In, [None, "nullable"], True),
    V(Op.In, ["", ""], True),
    V(Op.In, ["a", {"a": 1}], False),
    V(Op.In, ["a", None], False),
    # truth
    *(V(Op.Truth, [v], False) for v in (None, False, 0, 0.0, -0.0, NAN, "", [])),
    *(V(Op.Truth, [v], True) for v in (True, -1, 0.5, INF, "0", "false", " ", [0], [[]], {}, {"a": 0})),
    V(Op.Truth, [0], True, flags=1),
    # numbers
    V(Op.Add, [], 0),
    V(Op.Add, ["5"], 5.0),
    V(Op.Add, [1, 2, True, None, []], 4),
    V(Op.Add, [1, [[2]], "1_0.5"], 13.5),
    V(Op.Add, [{}], NAN),
    V(Op.Add, ["\t1e2\n"], 100.0),
    V(Op.Add, ["INF"], NAN),
    V(Op.Add, ["-infinity"], -INF),
    V(Op.Add, ["0x10"], NAN),
    V(Op.Add, ["1__0"], NAN),
    V(Op.Add, ["١٢"], NAN),
    V(Op.Add, ["\u00a05\u2003"], 5.0),
    V(Op.Add, [I64_MAX, 1], 2.0**63),
    V(Op.Add, [I64_MAX, 0], I64_MAX),
    V(Op.Add, [-0.0], 0.0),
    V(Op.Multiply, [], 1),
    V(Op.Multiply, [-0.0], -0.0),
    V(Op.Multiply, [2, 3, 1.5], 9.0),
    V(Op.Multiply, [I64_MIN, -1], 2.0**63),
    V(Op.Multiply, [3037000500, 3037000500], 9.22337203700025e18),
    V(Op.Subtract, [1], -1),
    V(Op.Subtract, [True], -1),
    V(Op.Subtract, [I64_MIN], 2.0**63),
    V(Op.Subtract, [5, None], -5),
    V(Op.Subtract, [5, False], 5),
    V(Op.Subtract, ["7", 2], 5.0),
    V(Op.Subtract, [I64_MIN, 1], -(2.0**63)),
    V(Op.Divide, [6, 3], 2.0),
    V(Op.Divide, [9007199254740993, 3], 3002399751580330.5),
    V(Op.Divide, [I64_MAX, 3], 3.0744573456182584e18),
    V(Op.Divide, [1, "0"], Fails(GENERAL)),
    V(Op.Divide, [1, None], Fails(GENERAL)),
    V(Op.Divide, [1, -0.0], Fails(GENERAL)),
    V(Op.Divide, [0, "x"], NAN),
    V(Op.Divide, [1e308, 0.1], INF),
    V(Op.Modulo, [7, 3], 1),
    V(Op.Modulo, [-7, 3], 2),
    V(Op.Modulo, [7, -3], -2),
    V(Op.Modulo, [-7.5, 2], 0.5),
    V(Op.Modulo, [5.5, -INF], -INF),
    V(Op.Modulo, [-4.0, 2.0], 0.0),
    V(Op.Modulo, [4.0, -2.0], -0.0),
    V(Op.Modulo, [I64_MIN, -1], 0),
    V(Op.Modulo, [INF, 2], NAN),
    V(Op.Modulo, [1, []], Fails(GENERAL)),
    V(Op.Minimum, [], NAN),
    V(Op.Minimum, [3, "1", 2], 1.0),
    V(Op.Minimum, [1, True, 1.0], 1),
    V(Op.Minimum, [2, True, 1.0], True),
    V(Op.Maximum, [[[False]], -1], False),
    V(Op.Minimum, [1.0, 1], 1.0),
    V(Op.Minimum, [NAN, 1], NAN),
    V(Op.Minimum, [1, NAN], 1),
    V(Op.Maximum, [], NAN),
    V(Op.Maximum, [2**53, 2.0**53, 2**53 + 1], 2**53 + 1),
    V(Op.Maximum, [NAN, 1], NAN),
    V(Op.Maximum, [0.0, -0.0, 0], 0.0),
    # text
    V(Op.Concat, [], ""),
    V(Op.Concat, ["a", 1, 1.0, 1.5, True, None, ["b", [2]], {}], "a111.5Truenullb,2[object Object]"),
    V(Op.Concat, [0.1, " ", 1e15, " ", 1e14, " ", 1 / 3], "0.1 1e+15 100000000000000 0.333333333333333"),
    V(Op.Concat, [NAN, INF, -INF, -0.0, 1e-5, 123456.5, I64_MIN], "naninf-inf-01e-05123456.5-9223372036854775808"),
    V(Op.Substring, ["jsonlogic", 4, None], "logic"),
    V(Op.Substring, ["jsonlogic", -5, None], "logic"),
    V(Op.Substring, ["jsonlogic", 1, 3], "son"),
    V(Op.Substring, ["jsonlogic", 4, -2], "log"),
    V(Op.Substring, ["jsonlogic", -5, -2], "log"),
    V(Op.Substring, ["jsonlogic", 8, -2], ""),
    V(Op.Substring, ["日本語😀", 1, 2], "本語"),
    V(Op.Substring, ["abc", "x", 2], "ab"),
    V(Op.Substring, ["abc", -3, 1], "a"),
    V(Op.Substring, ["abc", -0.5, None], ""),
    V(Op.Substring, ["abc", 1.9, 1.9], "b"),
    V(Op.Substring, ["abc", 5, 1], ""),
    V(Op.Substring, ["abc", 0, "x"], ""),
    V(Op.Substring, ["abc", 1e300, None], ""),
    V(Op.Substring, ["abc", 0, 1e300], "abc"),
    V(Op.Substring, [12345, 1, 2], "23"),
    V(Op.Substring, ["abc", INF, None], Fails(GENERAL)),
    V(Op.Substring, ["abc", 0, "-Infinity"], Fails(GENERAL)),
    V(Op.TextStarts, ["abc", "ab"], True),
    V(Op.TextStarts, ["abc", "bc"], False),
    V(Op.TextStarts, ["abc", 1], None),
    V(Op.TextEnds, ["abc", "bc"], True),
    V(Op.TextEnds, [None, ""], None),
    V(Op.TextEnds, ["", ""], True),
    # lists
    V(Op.MakeList, [], []),
    V(Op.MakeList, [1, [2], None], [1, [2], None]),
    V(Op.Merge, [1, [2, [3]], [], {"a": 1}], [1, 2, [3], {"a": 1}]),
    V(Op.Missing, [{"a": 1, "b": "", "c": {"d": 2}}, ["a", "b", "c.d", "c.e", "x"]], ["b", "c.e", "x"]),
    V(Op.Missing, [{"a": 1}, [["a", "z"], "y"]], ["z"]),
    V(Op.Missing, [None, ["", "a"]], ["", "a"]),
    V(Op.Missing, [[7, None], [0, 1, 2]], [1, 2]),
    V(Op.Missing, [{}, []], []),
    V(Op.MissingSome, [["a"], 3, 2], []),
    V(Op.MissingSome, [["a", "b"], 3, 2], ["a", "b"]),
    V(Op.MissingSome, [["a"], 3, "x"], ["a"]),
    # look-up
    V(Op.Path, [{"a": {"b": [10, 20]}}], 20, keys=("a", "b", "1")),
    V(Op.Path, [{"a.b": 1}], 1, keys=("a.b",)),
    V(Op.Path, [{"a": 1}], None, keys=("a", "b")),
    V(Op.Path, ["日本"], 2, keys=("length", "x")),
    V(Op.Path, [5], 5),
    V(Op.Path, [{"length": 7}], 7, keys=("length",)),
    V(Op.Lookup, [{"a": {"b": 1}}, "a.b"], 1),
    V(Op.Lookup, [{"a": 1}, ""], {"a": 1}),
    V(Op.Lookup, [{"a": 1}, None], {"a": 1}),
    V(Op.Lookup, [{"": 1}, []], 1),
    V(Op.Lookup, [{"1": "x"}, 1], None),
    V(Op.Lookup, [{"True": "x"}, True], None),
    V(Op.Lookup, [["x", "y"], True], "y"),
    V(Op.Lookup, [["x", "y"], 1], "y"),
    V(Op.Lookup, [["x", "y"], 1.0], "y"),
    V(Op.Lookup, [["x", "y"], 1.5], None),
    V(Op.Lookup, [["x", "y"], -1], None),
    V(Op.Lookup, [["x", "y"], "01"], None),
    V(Op.Lookup, [["x", "y"], "length"], 2),
    V(Op.Lookup, ["a😀", 1], "😀"),
    V(Op.Lookup, ["a😀", "1"], "😀"),
    V(Op.Lookup, ["ab", 2], None),
    V(Op.Lookup, [[["x"]], "0.0.0"], "x"),
    V(Op.Coalesce, [None, 1], 1),
    V(Op.Coalesce, [False, 1], False),
    # versions
    V(Op.SemVer, ["1.2.3", "=", "v1.2.3+build"], True),
    V(Op.SemVer, ["1.2", "=", "1.2.0"], True),
    V(Op.SemVer, [1, "<", "1.0.1"], True),
    V(Op.SemVer, [1.5, "~", "1.5.9"], True),
    V(Op.SemVer, ["1-rc", "<", "1"], True),
    V(Op.SemVer, ["1+b-c", "=", "1"], True),
    V(Op.SemVer, ["1.9.9", "^", "1.0.0-a"], True),
    V(Op.SemVer, ["1.9.9", "~", "1.8.9"], False),
    V(Op.SemVer, ["1.10.0", ">", "1.9.0"], True),
    V(Op.SemVer, ["99999999999999999999.0.0", ">", "99999999999999999998.0.0"], True),
    V(Op.SemVer, ["1.0.0", "!=", "1.0.0"], False),
    V(Op.SemVer, ["01.0.0", "=", "1.0.0"], None),
    V(Op.SemVer, ["1.0.0-01", "<", "1.0.0"], None),
    V(Op.SemVer, ["1.0.0", "==", "1.0.0"], None),
    V(Op.SemVer, ["1.0.0", 1, "1.0.0"], None),
    V(Op.SemVer, ["vv1", "=", "1"], None),
    V(Op.SemVer, [True, "=", "1"], None),
    V(Op.SemVer, ["", "=", "1"], None),
    # fractional
    V(Op.Fractional, [], None, slot="u"),
    V(Op.Fractional, [None, ["a", 1]], None, slot="u"),
    V(Op.Fractional, [["a", 1]], None, slot=""),
    V(Op.Fractional, [["a", 1]], None),
    V(Op.Fractional, [["a", 1]], "a", slot="u"),
    V(Op.Fractional, ["u", ["a", 0], ["b"]], "b"),
    V(Op.Fractional, ["u", ["a", -5], ["b", 1]], "b"),
    V(Op.Fractional, ["u", ["a", 1.0]], None),
    V(Op.Fractional, ["u", ["a", True]], None),
    V(Op.Fractional, ["u", ["a", 1, 1]], None),
    V(Op.Fractional, ["u", []], None),
    V(Op.Fractional, ["u", "a"], None),
    V(Op.Fractional, ["u", ["a", 0]], None),
    V(Op.Fractional, ["u", ["a", 2147483647], ["b", 1]], None),
    V(Op.Fractional, ["u", ["a", 2147483646], ["b", 1]], "a"),
    V(Op.Fractional, [["a", 1]], None, flags=1, slot=""),
    V(Op.Fractional, ["", ["a", 1]], None, flags=1, slot="u"),
    V(Op.Fractional, [["a", 1]], "a", flags=1, slot="u"),
    V(Op.Fractional, [3, ["a", 1]], None, flags=1, slot="u"),
    V(Op.Fractional, ["u", [{"k": 1}, 3]], {"k": 1}, flags=1),
]


def value_program(row: V) -> tuple[bytes, bytes, int]:
    """Configuration, request, and the index of the operation's node; the value is then hashed into the decision."""
    out = Assembler(slot_count=1)
    flag_key = out.constant("flag")
    out.flags.append((0, 16))
    for argument in row.arguments:
        out.emit(Op.PushConst, a=out.constants(argument))
    first = out.constants(*row.keys)
    a, b = (first, len(row.keys)) if row.op == Op.Path else (len(row.arguments), flag_key)
    out.emit(row.op, row.flags, a=a, b=b)
    at = len(out.nodes) - 1
    out.emit(Op.Concat, a=1)
    names = [str(i) for i in range(16)]
    for name in names:
        out.emit(Op.PushConst, a=out.constant([name, 1]))
    out.emit(Op.Fractional, a=17, b=flag_key)
    end, first = Label(), out.constants(*names)
    out.emit(Op.DecideText, Reason.TargetingMatch, a=first, b=16, no=end, unknown=end)
    out.place(end)
    out.emit(Op.Decide, a=65535, b=65535)
    return out.serialise(), request_of([row.slot]), at

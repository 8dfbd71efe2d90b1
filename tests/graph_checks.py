"""What must hold of any compiled graph: what is reachable, and the height of the value stack."""

from __future__ import annotations

from collections import deque

from symbolic_nodes import Compiled, Node

from pyflagwasm._abi import LoopKind, Op, PartKind


def targets(node: Node, read: Compiled) -> list[int]:
    """All nodes that a node can lead to, subroutines included."""
    found = [target for target in (node.yes, node.no, node.unknown) if target]
    if node.op is Op.CALL:
        found.append(node.a)
    if node.op is Op.SPLIT:
        found += [target for _, target in read.bounds[node.b : node.b + node.slot]]
    return found


def slots_below(start: int, read: Compiled) -> set[int]:
    found, seen, rest = set(), {start}, [start]
    while rest:
        node = read.nodes[rest.pop()]
        if Op.KIND_IN <= node.op <= Op.TIME_COMPARE or node.op in (Op.PUSH_SLOT, Op.FRACTIONAL):
            found.add(node.slot)
        if node.op in (Op.ROLLOUT, Op.SPLIT):
            bucket = read.config.Buckets(node.a)
            parts = map(read.config.Parts, range(bucket.FirstPart(), bucket.FirstPart() + bucket.PartCount()))
            found |= {part.Arg() for part in parts if part.Kind() == PartKind.SLOT}
        rest += set(targets(node, read)) - seen
        seen |= set(rest)
    return found


def check_heights(start: int, read: Compiled) -> None:
    """From all sides a node is reached with the same height of the stack, but for ways that end in a failure."""
    heights: dict[int, set[tuple[int, ...]]] = {}
    rest: deque[tuple[int, tuple[int, ...]]] = deque([(start, (0,))])
    while rest:
        number, height = rest.popleft()
        if height in heights.setdefault(number, set()):
            continue
        heights[number].add(height)
        node = read.nodes[number]
        rest += (
            [(target, height) for target in targets(node, read)] if node.op is Op.SPLIT else height_after(node, height)
        )
    for number, found in heights.items():
        assert len(found) == 1 or fails(number, read), (number, read.nodes[number], found)


def fails(number: int, read: Compiled) -> bool:
    following = targets(read.nodes[number], read)
    return read.nodes[number].op is Op.FAIL or (bool(following) and all(fails(target, read) for target in following))


def height_after(node: Node, height: tuple[int, ...]) -> list[tuple[int, tuple[int, ...]]]:
    """Where a node leads, and the height there; above a mark, constants do not count: their number varies."""
    *below, top = height

    def at(change: int) -> tuple[int, ...]:
        assert top + change >= 0, node
        return (*below, top + change)

    fixed = {Op.TRUTH: 1, Op.EQUAL: 2, Op.LOOKUP: 2, Op.IN: 2, Op.COALESCE: 2, Op.PATH: 1}
    match node.op:
        case Op.DECIDE | Op.RETURN:
            assert height == (0,)
            return []
        case Op.FAIL:
            return []
        case Op.DECIDE_TEXT:
            return [(node.no, at(-1)), (node.unknown, at(-1))]
        case Op.PUSH_CONST | Op.PUSH_SLOT | Op.PUSH_NOW | Op.PUSH_ITEM:
            return [(node.yes, height if below and node.op is Op.PUSH_CONST else at(1))]
        case Op.DROP:
            return [(node.yes, at(-1))]
        case Op.BRANCH_TRUTHY | Op.BRANCH_BLANK:
            return [(node.yes, at(-1)), (node.no, at(-1))]
        case Op.BRANCH_KEEP:
            return [(node.yes, at(0)), (node.no, at(-1))]
        case Op.MARK:
            return [(node.yes, (*height, 0))]
        case Op.COLLECT:
            assert top == 0
            return [(node.yes, (*below[:-1], below[-1] + 1))]
        case Op.ITERATE_BEGIN:
            taken = 2 if node.flags == LoopKind.REDUCE else 1
            return [(node.yes, at(-taken)), (node.no, at(1 - taken))]
        case Op.ITERATE_NEXT:
            return [(node.yes, at(0))]
        case op if Op.KIND_IN <= op <= Op.ROLLOUT or op in (Op.JUMP, Op.CALL):
            return [(target, height) for target in {node.yes, node.no, node.unknown} - {0}]
        case op:
            return [(node.yes, at(1 - fixed.get(op, node.a)))]

"""What pytest loads by itself: the fixtures `flags` and `override_flags`, the marks `flags` and `flags_strict`.

    def test_checkout(override_flags):
        override_flags({"new-checkout": True})      # until the end of the test, in the whole process

    @pytest.mark.flags({"new-checkout": True}, beta=False)
    async def test_more(client): ...

Here lives when overrides begin and end in a test, and when a strict test fails. Loading this loads nothing else of the
package: every run of pytest does, whether it has flags or not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from .testing import InMemoryEvaluator, Overrides
    from .testing.strict import Findings

_MARKED: Final = pytest.StashKey[list["Overrides"]]()
_FINDINGS: Final = pytest.StashKey["Findings"]()
_TITLE: Final = "flags"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("pyflagwasm", "feature flags").addoption(
        "--flags-strict",
        action="store_true",
        default=None,
        dest="pyflagwasm_strict",
        help="fail tests that ask for an unknown flag, or get the default because no configuration decided",
    )
    parser.addini("pyflagwasm_strict", "as --flags-strict, for every run", type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "flags(values, /, **more): flags with these values for the test, in the whole process"
    )
    config.addinivalue_line(
        "markers",
        "flags_strict(on=True, /, *, allow=()): whether the test fails for an unknown flag or a default; "
        "allow: keys of flags for which it does not",
    )


# ---------------------------------------------------------------- fixtures


@pytest.fixture
def flags() -> Generator[InMemoryEvaluator, None, None]:
    """An evaluator without flags, open: `flags.set("new-checkout", True)`. See pyflagwasm.testing.in_memory."""
    from .testing import in_memory

    with in_memory() as evaluator:
        yield evaluator


@pytest.fixture
def override_flags() -> Generator[Callable[..., Overrides], None, None]:
    """As pyflagwasm.testing.override_flags, but it holds at once: until the end of the test, in the whole process.

    Entered with `with`, it holds for the block, and for what pyflagwasm.testing.override_flags says.
    """
    from .testing import override_flags

    made: list[Overrides] = []

    def override(flags: Mapping[str, Any] | None = None, /, **more: Any) -> Overrides:
        overrides = override_flags(flags, **more)
        made.append(overrides.stand())
        return overrides

    yield override
    _undo(made)


# ---------------------------------------------------------------- around each test


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    on, allowed = _strictness(item)
    if on:
        from .testing import layers
        from .testing.strict import Findings

        findings = item.stash[_FINDINGS] = Findings(allowed)
        layers.watch(findings)
    marks = _marks(item, "flags")
    if marks:
        from .testing import override_flags

        made: list[Overrides] = item.stash.setdefault(_MARKED, [])
        for mark in marks:
            try:
                made.append(override_flags(*mark.args, **mark.kwargs).stand())
            except (TypeError, ValueError) as error:
                pytest.fail(f"@pytest.mark.flags takes a mapping and keywords: {error}", pytrace=False)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    findings = item.stash.get(_FINDINGS, None)
    try:
        result = yield
    except BaseException:
        found = findings.taken() if findings is not None else None
        if found is not None:
            item.add_report_section("call", _TITLE, found)
        raise
    _fail(findings)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    findings = item.stash.get(_FINDINGS, None)
    try:
        result = yield
    finally:
        if findings is not None:
            from .testing import layers

            layers.unwatch(findings)
            del item.stash[_FINDINGS]
        marked = item.stash.get(_MARKED, [])
        _undo(marked)
    _fail(findings)
    return result


def _undo(made: list[Overrides]) -> None:
    """Undo all of them, the last one first, whatever one of them has to say."""
    try:
        if made:
            made.pop().undo()
    finally:
        if made:
            _undo(made)


def _fail(findings: Findings | None) -> None:
    found = findings.taken() if findings is not None else None
    if found is not None:
        pytest.fail(found, pytrace=False)


def _marks(item: pytest.Item, name: str) -> list[pytest.Mark]:
    """The marks of this name, the closest last: those of a parameter, which pytest takes for the function's first."""
    found = [*item.iter_markers(name)][::-1]
    parameter = [id(mark) for mark in getattr(getattr(item, "callspec", None), "marks", ())]
    return sorted(found, key=lambda mark: id(mark) in parameter)


def _strictness(item: pytest.Item) -> tuple[bool, list[str]]:
    """Whether a test is strict, by its closest mark, the command line or the settings; and which flags it lets pass."""
    on = bool(item.config.getoption("pyflagwasm_strict") or item.config.getini("pyflagwasm_strict"))
    allowed: list[str] = []
    for mark in _marks(item, "flags_strict"):
        try:
            on, more = _flags_strict(*mark.args, **mark.kwargs)
        except TypeError:
            pytest.fail("@pytest.mark.flags_strict takes True or False, and allow=[keys of flags]", pytrace=False)
        allowed += more
    return on, allowed


def _flags_strict(on: bool = True, /, *, allow: Collection[str] = ()) -> tuple[bool, Collection[str]]:
    if not isinstance(on, bool) or isinstance(allow, str) or not all(isinstance(each, str) for each in allow):
        raise TypeError
    return on, allow

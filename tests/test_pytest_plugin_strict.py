"""Strict tests: what fails them, what is said then, what they let pass, and how they are asked for."""

from __future__ import annotations

import pytest
from little_projects import SETTINGS, run

pytest_plugins = ["pytester"]

ONE = """
import pytest
import pyflagwasm
from pyflagwasm.testing import in_memory, override_flags as overridden

flags = in_memory({"new-checkout": True, "text": "a"})
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini(SETTINGS)
    return pytester


def line_of(text: str, wanted: str) -> int:
    return next(number for number, line in enumerate(text.strip().splitlines(), 1) if wanted in line)


def test_an_unknown_flag_and_defaults(project: pytest.Pytester) -> None:
    text = (
        ONE
        + """
def test_fine():
    assert flags.value_nowait("new-checkout", default=False) is True
    assert flags.bind({}).all() == flags.bind({}).many(["new-checkout", "text"])

def test_unknown():
    flags.value_nowait("new-chekout", default=False)

def test_bound():
    for _ in range(3):
        flags.bind({}).value("beta", 5)

@pytest.mark.asyncio
async def test_awaited():
    await flags.value("text", default=5)

def test_closed():
    pyflagwasm.open({"flags": {}}).value_nowait("beta", default=5)

def test_many():
    flags.bind({}).many(["new-checkout", "new-chekout"])
"""
    )
    project.makepyfile(test_it=text)
    run(project, passed=6)
    result = run(project, "--flags-strict", passed=1, failed=5)
    places = {
        word: line_of(text, wanted)
        for word, wanted in {
            "unknown": '"new-chekout", default', "bound": '"beta", 5', "awaited": "await flags",
            "closed": "open({", "many": '"new-chekout"])',
        }.items()
    }  # fmt: skip
    result.stdout.fnmatch_lines(
        [
            "flags that no configuration decided:",
            f"  'new-chekout': there is no such flag, did you mean 'new-checkout'? (test_it.py:{places['unknown']})",
            f"  'beta': there is no such flag (test_it.py:{places['bound']}) 3 times",
            "  'text': gave the default: TYPE_MISMATCH: the value is a text, the default is an integer "
            f"(test_it.py:{places['awaited']})",
            "  'beta': gave the default: PROVIDER_NOT_READY: the evaluator is not open: * "
            f"(test_it.py:{places['closed']})",
            f"  'new-chekout': there is no such flag, did you mean 'new-checkout'? (test_it.py:{places['many']})",
        ]
    )


def test_a_configuration_that_leaves_it_to_the_caller(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        import asyncio
        import pyflagwasm

        OFF = {"state": "DISABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off"}
        flags = pyflagwasm.open({"flags": {"beta": OFF}})
        asyncio.run(flags.__aenter__())

        def test_value():
            flags.value_nowait("beta", default=5)

        def test_many():
            flags.bind({}).many(["beta"])

        def test_overridden_and_unknown(override_flags):
            override_flags(gamma=5, beta=6)
            assert flags.value_nowait("gamma", default=4) == 5
            assert flags.bind({}).many(["gamma", "beta"]) == {"gamma": 5, "beta": 6}
            assert flags.value_nowait("beta", default=4) == 6
        """
    )
    result = run(project, "--flags-strict", failed=3)
    result.stdout.fnmatch_lines(
        [
            "  'beta': gave the default, with the reason DISABLED (test_it.py:*)",
            "  'beta': left out by many(), as it would give the default (test_it.py:*)",
            "  'gamma': overridden, but the configuration has no such flag (test_it.py:*)",
            "  'gamma': overridden, but the configuration has no such flag (test_it.py:*)",
        ]
    )


def test_an_override_that_nobody_asked_for_and_no_configuration_has(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        import asyncio
        import pytest
        import pyflagwasm
        from pyflagwasm.testing import override_flags as overriding

        ON = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"}
        flags = pyflagwasm.open({"flags": {"new-checkout": ON, "beta": ON}})
        asyncio.run(flags.__aenter__())

        def ask():
            return flags.value_nowait("new-checkout", default=False)

        def test_mistyped(override_flags):
            override_flags({"new-chekout": False, "beta": False})
            assert ask() is True

        @pytest.mark.flags({"marked": False})
        def test_marked():
            flags.bind({}).all_details()

        def test_block():
            with overriding({"zebra": 1}):
                assert flags.bind({}).all() == {"new-checkout": True, "beta": True, "zebra": 1}

        def test_it_is_in_memory(flags, override_flags):
            flags.set("gamma", 1)
            override_flags({"delta": 1})
            assert flags.value_nowait("gamma", default=0) == 1

        def test_both(override_flags):
            from pyflagwasm.testing import in_memory

            override_flags({"epsilon": 1})
            assert (ask(), in_memory({"epsilon": 2}).value_nowait("gamma", default=None)) == (True, None)

        def test_nothing_is_asked(override_flags):
            override_flags({"new-chekout": False})

        @pytest.mark.flags_strict(allow=["new-chekout"])
        def test_allowed(override_flags):
            override_flags({"new-chekout": False})
            ask()

        def test_the_next_one():
            ask()
        """
    )
    result = run(project, "--flags-strict", passed=4, failed=4)
    words = "overridden and not asked for, and the configuration has no such flag"
    result.stdout.fnmatch_lines(
        [
            f"  'new-chekout': {words}, did you mean 'new-checkout'? (test_it.py:14)",
            f"  'marked': {words}",
            f"  'zebra': {words} (test_it.py:22)",
            "  'gamma': there is no such flag (test_it.py:*)",
        ]
    )
    assert "'epsilon'" not in "".join(line for line in result.outlines if words in line)


def test_what_is_not_silent(project: pytest.Pytester) -> None:
    """Errors that are raised, and those that the test asks for; overrides of what is in memory, which is no truth."""
    project.makepyfile(
        test_it=ONE
        + """
def test_raised():
    with pytest.raises(pyflagwasm.FlagNotFoundError):
        flags.value_nowait("absent", default=5, strict=True)
    with pytest.raises(pyflagwasm.FlagNotFoundError):
        flags.bind({}).value("absent", 5, strict=True)

@pytest.mark.flags({"new-checkout": pyflagwasm.ErrorCode.GENERAL, "beta": 5})
def test_asked_for():
    assert flags.value_nowait("new-checkout", default=5) == 5
    assert flags.value_nowait("beta", default=4) == 5
    with flags.pin() as pinned:
        assert pinned.bind({}).many(["new-checkout", "beta"]) == {"beta": 5}

def test_mismatch(override_flags):
    override_flags(text=5)
    assert flags.value_nowait("text", default="x") == "x"
"""
    )
    result = run(project, "--flags-strict", passed=2, failed=1)
    result.stdout.fnmatch_lines(["*'text': gave the default: TYPE_MISMATCH: the value is an integer*"])


def test_marks_and_settings(project: pytest.Pytester) -> None:
    project.makeini(SETTINGS + "pyflagwasm_strict = true\n")
    project.makepyfile(
        test_it=ONE
        + """
def ask():
    flags.value_nowait("absent", default=5)

def test_settings():
    ask()

@pytest.mark.flags_strict(False)
class TestClass:
    def test_class(self):
        ask()

    @pytest.mark.flags_strict
    def test_closest(self):
        ask()

@pytest.mark.flags_strict(allow=["absent", "other"])
def test_allowed():
    ask()
    flags.bind({}).many(["absent", "other"])

@pytest.mark.flags_strict(allow=["other"])
def test_another_is_allowed():
    ask()
"""
    )
    run(project, passed=2, failed=3)
    run(project, "-o", "pyflagwasm_strict=false", passed=3, failed=2)


def test_in_setup_and_in_teardown(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it=ONE
        + """
@pytest.fixture
def before():
    flags.value_nowait("absent-before", default=5)

@pytest.fixture
def after():
    yield
    flags.value_nowait("absent-after", default=5)

def test_before(before): pass

def test_after(after): pass

def test_neither(): pass
"""
    )
    result = run(project, "--flags-strict", passed=2, failed=1, errors=1)
    result.stdout.fnmatch_lines_random(["  'absent-before': *", "  'absent-after': *"])


def test_a_test_that_fails_anyway_says_it_too(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it=ONE
        + """
def test_fails():
    assert flags.value_nowait("absent", default=5) == 6

@pytest.mark.xfail(strict=True)
def test_expected():
    flags.value_nowait("absent", default=5)

def test_skipped():
    flags.value_nowait("absent", default=5)
    pytest.skip("later")
"""
    )
    result = run(project, "--flags-strict", failed=1, xfailed=1, skipped=1)
    result.stdout.fnmatch_lines(["*assert 5 == 6*", "*Captured flags call*", "*'absent': there is no such flag*"])


def test_whatever_is_taken_for_a_key(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it=ONE
        + """
def test_it():
    assert flags.value_nowait([], default=5) == 5
    assert flags.bind({}).many([[], 7]) == {}
"""
    )
    result = run(project, "--flags-strict", failed=1)
    result.stdout.fnmatch_lines(["*[[][]]: there is no such flag*"])


def test_where_it_was_asked_for(project: pytest.Pytester) -> None:
    """The test's or the application's line, not one of a package that was installed."""
    project.mkdir("site-packages").joinpath("framework.py").write_text(
        "def ask(flags):\n    return flags.value_nowait('absent', default=5)\n"
    )
    project.syspathinsert("site-packages")
    project.makepyfile(
        test_it=ONE
        + """
import threading
import framework

def test_it():
    framework.ask(flags)

def test_thread():
    thread = threading.Thread(target=framework.ask, args=[flags])
    thread.start()
    thread.join()
"""
    )
    result = run(project, "--flags-strict", failed=2)
    result.stdout.fnmatch_lines(
        [
            "*'absent': there is no such flag (test_it.py:*)",
            "*'absent': there is no such flag (*framework.py:2)",
        ]
    )

"""The plugin of pytest, on little projects of its own: what loading it costs, fixtures, marks, unittest, xdist."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from little_projects import SETTINGS, run

pytest_plugins = ["pytester"]


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini(SETTINGS)
    return pytester


# ---------------------------------------------------------------- what it costs


def loaded(folder: Path, *arguments: str) -> set[str]:
    """What a run of pytest has loaded of this package, and of what it stands on, at its end."""
    (folder / "conftest.py").write_text(
        "import sys\n"
        "def pytest_unconfigure(config):\n"
        "    heavy = ('pyflagwasm', 'wasmtime', 'flatbuffers')\n"
        "    print('loaded', *sorted(name for name in sys.modules if name.partition('.')[0] in heavy))\n"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=60, check=False)
    assert done.returncode in (0, 5), done.stdout + done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:])


def test_a_project_without_flags_loads_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_nothing.py").write_text("def test_nothing(): pass\n")
    assert loaded(tmp_path) == {"pyflagwasm", "pyflagwasm.pytest_plugin"}


def test_importing_it_loads_nothing() -> None:
    program = (
        "import sys; before = set(sys.modules); import pytest; pytests = set(sys.modules)\n"
        "import pyflagwasm.pytest_plugin; print(*sorted(set(sys.modules) - pytests))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["pyflagwasm", "pyflagwasm.pytest_plugin"]


def test_strictness_alone_loads_no_core(tmp_path: Path) -> None:
    (tmp_path / "test_nothing.py").write_text("def test_nothing(): pass\n")
    found = loaded(tmp_path, "--flags-strict")
    assert "pyflagwasm.testing.strict" in found
    assert not [name for name in found if name.startswith(("wasmtime", "flatbuffers", "pyflagwasm.runtime"))]


def test_it_can_be_left_out(project: pytest.Pytester) -> None:
    project.makepyfile(test_it="def test_it(override_flags): pass")
    project.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    result = run(project, "-p", "no:pyflagwasm", errors=1)
    result.stdout.fnmatch_lines(["*fixture 'override_flags' not found*"])


# ---------------------------------------------------------------- fixtures and marks


def test_the_fixtures(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        from pyflagwasm.testing import in_memory

        kept = []

        def test_first(flags, override_flags):
            flags.set("a", 1)
            assert flags.value_nowait("a", default=0) == 1
            override_flags({"a": 2}, b="text")
            override_flags(a=3)
            assert flags.bind({}).all() == {"a": 3, "b": "text"}
            with override_flags(a=4):
                assert flags.value_nowait("a", default=0) == 4
            assert flags.value_nowait("a", default=0) == 3
            override_flags(a=5).undo()
            assert flags.value_nowait("a", default=0) == 3
            kept.append(flags)

        def test_second(flags):
            assert flags is not kept[0]
            assert flags.bind({}).all() == {}
            assert kept[0].statistics().state == "CLOSED"
            assert kept[0].value_nowait("a", default=0) == 0

        def test_third():
            import pyflagwasm.hooks
            assert pyflagwasm.hooks.overriding == []
        """
    )
    run(project, passed=3)


def test_a_projects_own_fixture_wins(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        import pytest

        @pytest.fixture
        def flags():
            return "mine"
        """
    )
    project.makepyfile(test_it="def test_it(flags): assert flags == 'mine'")
    run(project, passed=1)


def test_the_mark(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        import pytest
        from pyflagwasm.testing import in_memory

        flags = in_memory({"new-checkout": False, "beta": 1})
        pytestmark = pytest.mark.flags({"new-checkout": True}, module="of the module")

        @pytest.fixture
        def before():
            return flags.bind({}).all()

        def test_module(before):
            assert before == {"new-checkout": True, "beta": 1, "module": "of the module"}

        @pytest.mark.flags(beta=2)
        class TestClass:
            def test_class(self):
                assert flags.bind({}).many(["new-checkout", "beta"]) == {"new-checkout": True, "beta": 2}

            @pytest.mark.flags({"new-checkout": False}, beta=lambda context: 3)
            @pytest.mark.parametrize("number", [3, pytest.param(4, marks=pytest.mark.flags(beta=4))])
            def test_function(self, number, before):
                assert flags.bind({}).many(["new-checkout", "beta"]) == {"new-checkout": False, "beta": number}
                assert before["beta"] == number
        """,
        test_other="""
        def test_other():
            import test_it
            assert test_it.flags.bind({}).all() == {"new-checkout": False, "beta": 1}
        """,
    )
    run(project, passed=5)


def test_a_mark_that_cannot_be(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.flags("new-checkout")
        def test_text(): pass

        @pytest.mark.flags({"new-checkout": None})
        def test_none(): pass

        @pytest.mark.flags(beta=2)
        @pytest.mark.flags({}, {})
        def test_two(): pass

        @pytest.mark.flags_strict("yes")
        def test_word(): pass

        @pytest.mark.flags_strict(allow="new-checkout")
        def test_allow(): pass

        def test_nothing_is_left(flags):
            assert flags.bind({}).all() == {}
        """
    )
    result = run(project, errors=5, passed=1)
    result.stdout.fnmatch_lines(
        [
            "*pytest.mark.flags takes a mapping and keywords: *",
            "*takes a mapping and keywords: the flag 'new-checkout' cannot be None: *",
            "*takes a mapping and keywords: *",
            "*pytest.mark.flags_strict takes True or False, and allow=[[]keys of flags]*",
            "*pytest.mark.flags_strict takes True or False, and allow=[[]keys of flags]*",
        ]
    )


def test_setup_that_fails_leaves_nothing(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        import pytest

        @pytest.fixture
        def failing(override_flags):
            override_flags(a=1)
            raise ZeroDivisionError

        @pytest.mark.flags(b=1)
        def test_it(failing): pass

        def test_nothing_is_left(flags):
            assert flags.bind({}).all() == {}
        """
    )
    run(project, errors=1, passed=1)


def test_a_keyword_for_a_flag_with_a_dash(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        import pytest

        def test_fixture(flags, override_flags):
            flags.set("new-checkout", True)
            override_flags(beta=False)
            override_flags(new_checkout=False)
            override_flags(gamma=False)
            assert flags.value_nowait("new-checkout", default=False) is True

        @pytest.mark.flags(new_checkout=False)
        def test_mark(flags):
            flags.set("new-checkout", True)
            assert flags.value_nowait("new-checkout", default=False) is True

        def test_nothing_is_left(flags):
            assert flags.bind({}).all() == {}
        """
    )
    result = run(project, passed=3, errors=2)
    result.stdout.fnmatch_lines(["*write override_flags({'new-checkout': ...})"] * 2)


# ---------------------------------------------------------------- other ways to run tests


def test_unittest(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        import unittest
        import pytest
        from pyflagwasm.testing import in_memory, override_flags

        flags = in_memory({"a": 0})

        @pytest.mark.flags(a=1)
        class TestIt(unittest.IsolatedAsyncioTestCase):
            async def test_mark(self):
                assert await flags.value("a", default=0) == 1

            @override_flags(a=2)
            async def test_decorator(self):
                assert await flags.value("a", default=0) == 2
        """
    )
    run(project, passed=2)


def test_xdist(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        import os
        import pytest
        from pyflagwasm.testing import in_memory

        flags = in_memory({"a": -1})

        @pytest.mark.parametrize("number", range(20))
        def test_it(number, override_flags):
            assert flags.value_nowait("a", default=0) == -1
            override_flags(a=number)
            assert flags.value_nowait("a", default=0) == number
            assert os.environ["PYTEST_XDIST_WORKER"]

        def test_unknown():
            flags.value_nowait("absent", default=0)
        """
    )
    result = project.runpytest_subprocess("-n", "2", "--flags-strict", "-p", "no:hypothesispytest")
    result.assert_outcomes(passed=20, failed=1)
    result.stdout.fnmatch_lines(["*'absent': there is no such flag (test_it.py:*)*"])

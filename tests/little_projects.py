"""Little projects with tests of their own, for the tests of the plugin: their settings, and how they are run."""

from __future__ import annotations

import pytest

# What is imported here need not be imported anew by every run.
import pyflagwasm.testing.memory  # noqa: F401

SETTINGS = """
[pytest]
addopts = --strict-markers
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""


def run(project: pytest.Pytester, *arguments: str, **outcomes: int) -> pytest.RunResult:
    """Runs the tests of a project in this process, and compares how they end."""
    without = [part for name in ("cacheprovider", "hypothesispytest") for part in ("-p", f"no:{name}")]
    result = project.runpytest_inprocess(*arguments, *without)
    result.assert_outcomes(**outcomes)
    return result

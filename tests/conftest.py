"""What holds for the whole run: tests, and what they start, keep machine code in a folder of their own."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from pyflagwasm.runtime import module_cache

settings.register_profile("pyflagwasm", deadline=5000)  # milliseconds for an example, also on a busy machine
settings.load_profile("pyflagwasm")

_FOLDER = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_FOLDER] = tempfile.mkdtemp(prefix="pyflagwasm-")
    os.environ.setdefault(module_cache.VARIABLE, str(Path(config.stash[_FOLDER]) / "cache"))


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[_FOLDER], ignore_errors=True)

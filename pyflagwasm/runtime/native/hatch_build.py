"""Builds the extension `pyflagwasm.runtime._native` where there is a C compiler, as part of building the package.

Without one, or if it fails, the package is built without: evaluations then cross over ctypes, with the same answers.
PYFLAGWASM_NATIVE=require makes that an error, and every warning of the compiler too; =skip leaves the extension out.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent
VARIABLE = "PYFLAGWASM_NATIVE"
WARNINGS = ["-Wall", "-Wextra", "-Wno-missing-field-initializers", "-Wno-cast-function-type"]


def digest() -> str:
    """Of the sources, as pyflagwasm/runtime/extension.py computes it in a checkout."""
    found = hashlib.sha256()
    for path in sorted(HERE.glob("*.[ch]")):
        found.update(path.read_bytes())
    return found.hexdigest()


def compile_extension(strict: bool) -> Path:
    """Build the extension beside this folder; its path. Raises what setuptools does. strict: warnings are errors."""
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext

    sources = sorted(str(path) for path in HERE.glob("*.c"))
    made_of = [("PYFLAGWASM_SOURCES", f'"{digest()}"')]
    optimised = [] if sys.platform == "win32" else ["-O2", "-fvisibility=hidden", *WARNINGS, *["-Werror"] * strict]
    extension = Extension(
        "_native", sources, include_dirs=[str(HERE)], define_macros=made_of, extra_compile_args=optimised
    )
    with tempfile.TemporaryDirectory() as folder:
        command = build_ext(Distribution({"name": "pyflagwasm-native", "ext_modules": [extension]}))
        command.build_temp, command.build_lib, command.force = folder, str(PACKAGE), True
        command.ensure_finalized()
        Path(command.get_ext_fullpath("_native")).unlink(missing_ok=True)  # an old one is worse than none
        command.run()
        return Path(command.get_ext_fullpath("_native"))


class NativeBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the extension to a wheel, and to the checkout of an editable installation."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        wanted = os.environ.get(VARIABLE, "")
        if self.target_name != "wheel" or wanted == "skip":
            return
        if sys.implementation.name != "cpython":
            self.app.display_info("pyflagwasm: the extension is for CPython; built without it")
            return
        try:
            built = compile_extension(wanted == "require")
        except (Exception, SystemExit) as error:
            if wanted == "require":
                raise
            self.app.display_warning(f"pyflagwasm: built without the extension, which makes it faster: {error}")
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["force_include"][str(built)] = f"pyflagwasm/runtime/{built.name}"

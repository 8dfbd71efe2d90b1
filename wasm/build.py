"""Build pyflagwasm/core.wasm from wasm/core and wasm/guest, the same bytes every time.

    python wasm/build.py            build, install as pyflagwasm/core.wasm, print size and exports
    python wasm/build.py --check    build beside it and compare; exit 1 if the committed module differs
    python wasm/build.py --names F  write the module with the names of its functions to F instead, for a profiler

Needs the Rust compiler that the module is pinned to, with its wasm32 library, LLVM's wasm linker, and binaryen's
wasm-opt, which takes off a tenth. On Debian 12: `apt-get install rustc libstd-rust-dev-wasm32 lld binaryen`. Other
versions build a module that works and differs in its bytes. PYFLAGWASM_RUSTC and PYFLAGWASM_WASM_OPT name the programs
to use. Cargo is not involved: two crates, no dependencies.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WASM = Path(__file__).resolve().parent
INSTALLED = WASM.parent / "pyflagwasm" / "core.wasm"
RUSTC_VERSION = "1.63.0"
WASM_OPT_VERSION = "108"
PACKAGES = "apt-get install rustc libstd-rust-dev-wasm32 lld binaryen"
TARGET = "wasm32-unknown-unknown"
STACK = 64 * 1024
MAX_PAGES = 256
LIMIT = 64 * 1024


def find(name: str, variable: str, wanted: str) -> str:
    """The program in the pinned version. A shim of the same name that stands before it on PATH is passed over."""
    seen = []
    for candidate in filter(None, (os.environ.get(variable), f"/usr/bin/{name}", shutil.which(name))):
        if not Path(candidate).exists():
            continue
        printed = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False).stdout
        if wanted in printed.split():
            return candidate
        seen.append(f"{candidate} is {printed.strip() or 'unusable'}")
    raise SystemExit(
        f"build.py: no {name} {wanted} found ({'; '.join(seen) or 'none at all'}). "
        f"On Debian 12: {PACKAGES}; elsewhere set {variable}."
    )


def build(out: Path, names: bool = False) -> Path:
    """Compile both crates into `out`. Paths of this machine are kept out of the bytes by running inside wasm/."""
    rustc = find("rustc", "PYFLAGWASM_RUSTC", RUSTC_VERSION)
    wasm_opt = find("wasm-opt", "PYFLAGWASM_WASM_OPT", WASM_OPT_VERSION)
    common = [
        "--edition=2021", f"--target={TARGET}", "-Copt-level=s", "-Cpanic=abort", "-Ccodegen-units=1",
        "-Cembed-bitcode=yes", "-Ctarget-feature=+bulk-memory,+nontrapping-fptoint",
        f"--remap-path-prefix={WASM}=.",
    ]  # fmt: skip
    core = out / "libpyflagwasm_core.rlib"
    subprocess.run(
        [rustc, "core/src/lib.rs", "--crate-name=pyflagwasm_core", "--crate-type=rlib", *common, "-o", str(core)],
        check=True, cwd=WASM,
    )  # fmt: skip
    linked, module = out / "linked.wasm", out / "core.wasm"
    links = [
        "-zstack-size=" + str(STACK), "--stack-first", "--strip-debug" if names else "--strip-all", "--no-entry",
        f"--max-memory={MAX_PAGES * 65536}",
    ]  # fmt: skip
    subprocess.run(
        [
            rustc, "guest/src/lib.rs", "--crate-name=guest", "--crate-type=cdylib", *common, "-Clto=fat",
            "--extern", f"pyflagwasm_core={core}", *(f"-Clink-arg={arg}" for arg in links), "-o", str(linked),
        ],
        check=True, cwd=WASM,
    )  # fmt: skip
    subprocess.run(
        [
            # What is seldom called stays out of what is hot, even with one caller: it would cost registers there.
            wasm_opt, "--enable-bulk-memory", "--enable-nontrapping-float-to-int", "-Oz", "-ocimfs=300",
            *["-g"] * names, str(linked), "-o", str(module),
        ],
        check=True,
    )  # fmt: skip
    return module


def sections(module: bytes) -> list[tuple[int, bytes]]:
    """(id, content) of each section of a WebAssembly module."""
    found, at = [], 8
    while at < len(module):
        identifier, at = module[at], at + 1
        size, at = leb128(module, at)
        found.append((identifier, module[at : at + size]))
        at += size
    return found


def leb128(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte, at = data[at], at + 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def to_leb128(value: int) -> bytes:
    out = bytearray()
    while True:
        out.append((value & 127) | (128 if value > 127 else 0))
        value >>= 7
        if not value:
            return bytes(out)


def trimmed(module: bytes, names: bool = False) -> bytes:
    """The module without producers, names unless wanted, and the exports that only a linker wants (__heap_base)."""
    out = bytearray(module[:8])
    for identifier, content in sections(module):
        if identifier == 0 and not (names and content.startswith(b"\x04name")):
            continue
        if identifier == 7:
            kept = [raw for name, raw in exports(content) if not name.startswith("__")]
            content = to_leb128(len(kept)) + b"".join(kept)
        out += bytes([identifier]) + to_leb128(len(content)) + content
    return bytes(out)


def exports(content: bytes) -> list[tuple[str, bytes]]:
    """(name, bytes) of each entry of an export section."""
    count, at = leb128(content, 0)
    found = []
    for _ in range(count):
        start = at
        size, at = leb128(content, at)
        name, at = content[at : at + size].decode(), at + size
        _, at = leb128(content, at + 1)
        found.append((name, content[start:at]))
    return found


def export_names(module: bytes) -> list[str]:
    content = next(content for identifier, content in sections(module) if identifier == 7)
    return [name for name, _ in exports(content)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the committed module, do not replace it")
    parser.add_argument("--names", type=Path, metavar="FILE", help="keep the names and write the module there instead")
    options = parser.parse_args()
    check, named = options.check, options.names
    with tempfile.TemporaryDirectory() as folder:
        module = trimmed(build(Path(folder), named is not None).read_bytes(), named is not None)
    if named:
        named.write_bytes(module)
        print(f"{named}: {len(module)} bytes with names")
        return 0
    print(f"core.wasm: {len(module)} bytes of at most {LIMIT}; exports {', '.join(export_names(module))}")
    if len(module) > LIMIT:
        print("core.wasm is too large", file=sys.stderr)
        return 1
    if not check:
        INSTALLED.write_bytes(module)
    elif not INSTALLED.exists() or INSTALLED.read_bytes() != module:
        print("pyflagwasm/core.wasm is not what the sources build: run python wasm/build.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The command line as a process of its own: pipes, locales, streams without end."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from evaluators import document, flag

ROOT = Path(__file__).parent.parent
COMMAND = (sys.executable, "-m", "pyflagwasm")


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def run(*arguments: str | bytes, **more: str) -> tuple[int, bytes, bytes]:
    done = subprocess.run(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(**more),
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def start(*arguments: str, **streams: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*COMMAND, *arguments], env=environment(), stderr=subprocess.PIPE, **streams)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("evaluate", "example:flagd", "--flag", "opening-hours"), 0),
        (("evaluate", "example:flagd", "--flag", "nope"), 1),
        (("evaluate", "example:nope"), 2),
    ],
)
def test_exit_codes(arguments: tuple[str, ...], code: int) -> None:
    returned, out, err = run(*arguments)
    assert returned == code
    assert (out == b"", err == b"") == (code == 2, code == 0)
    assert b"Traceback" not in err


def test_output_is_utf8_whatever_the_locale(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_bytes(document(**{"clé": flag({"v": "日本"}, "v")}))
    latin = {"LC_ALL": "C", "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    code, out, _ = run("evaluate", str(path), **latin)
    assert code == 0
    expected = '{"context":0,"flag":"clé","value":"日本","variant":"v","reason":"STATIC","error_code":null}\n'
    assert out == expected.encode()
    code, out, err = run("evaluate", str(path), "--flag", "nö\ud800".encode("utf-8", "surrogatepass"), **latin)
    assert code == 1
    assert json.loads(out)["error_code"] == "FLAG_NOT_FOUND"
    assert err.count(b"\n") == 1


def test_stdin_is_answered_line_by_line() -> None:
    process = start(
        "evaluate", "example:flagd", "--flag", "pre-orders", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for number, city in enumerate(("Ghent", "Bruges", "Namur")):
        process.stdin.write(json.dumps({"city": city}).encode() + b"\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        assert (answer["context"], answer["value"]) == (number, city != "Bruges")
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, b"")


def test_a_reader_that_goes_away_is_no_error() -> None:
    process = start("evaluate", "example:flagd", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"{}\n")
    process.stdin.flush()
    assert process.stdout.readline()
    process.stdout.close()
    try:
        while True:
            process.stdin.write(b"{}\n" * 1_000)
            process.stdin.flush()
    except BrokenPipeError:
        pass
    with contextlib.suppress(BrokenPipeError):  # what is left in the buffer
        process.stdin.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait(timeout=30) == 0
    process.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_reported() -> None:
    with open("/dev/full", "wb") as full:
        process = start("evaluate", "example:flagd", stdout=full)
        _, err = process.communicate(timeout=30)
    assert err == b"pyflagwasm: stdout: cannot be written: No space left on device\n"
    assert process.returncode == 2


def test_contexts_do_not_pile_up_in_memory(tmp_path: Path) -> None:
    """Peak memory after 40,000 contexts is what it was after 4,000, give or take."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("no /proc here: the peak that `resource` tells of a child can be that of its parent")
    program = (
        "import re, sys\nfrom pyflagwasm.cli import main\n"
        "code = main(sys.argv[1:])\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1], file=sys.stderr)\nsys.exit(code)"
    )
    peaks = []
    for count in (4_000, 40_000):
        path = tmp_path / f"{count}.ndjson"
        path.write_bytes(b"".join(b'{"targetingKey":"u-%d","city":%d}\n' % (i, i) for i in range(count)))
        done = subprocess.run(
            [sys.executable, "-c", program, "evaluate", "example:flagd", "--flag=pre-orders", "--contexts", str(path)],
            capture_output=True,
            env=environment(),
            timeout=60,
            check=True,
        )
        assert done.stdout.count(b"\n") == count
        peaks.append(int(done.stderr.split()[-1]))
    assert peaks[1] < peaks[0] * 1.1

"""`pyflagwasm bulk` as a process: killed, interrupted, out of disk, in pipes, and in bounded memory."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pa = pytest.importorskip("pyarrow")
import pyarrow.compute as pc  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

ROOT = Path(__file__).parent.parent
COMMAND = (sys.executable, "-m", "pyflagwasm")
STREAM = b'{"targetingKey":"user-%d"}\n'


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def start(*arguments: str, **streams: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*COMMAND, "bulk", "example:flagd", *arguments], env=environment(), **streams)


def lines(first: int, count: int) -> bytes:
    return b"".join(STREAM % number for number in range(first, first + count))


def half_done(out: Path, *more: str) -> subprocess.Popen[bytes]:
    """A job that has written rows already, and waits for more of its input."""
    process = start(
        "-", str(out), "--flag", "checkout-button", *more, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    for number in range(0, 1 << 30, 10_000):
        process.stdin.write(lines(number, 10_000))
        found = temporaries(out)
        if found and found[0].stat().st_size > 100_000:
            break
    return process


def temporaries(out: Path) -> list[Path]:
    return sorted(out.parent.glob(f".{out.name}.????????.tmp"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("name", ["o.ndjson", "o.arrow"])
def test_a_job_that_is_told_to_end_leaves_nothing(number: int, name: str, tmp_path: Path) -> None:
    out = tmp_path / name
    out.write_bytes(b"what was there")
    process = half_done(out, "--threads", "2" if name == "o.arrow" else "1")
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert b"Traceback" not in err
    assert out.read_bytes() == b"what was there"
    assert sorted(tmp_path.iterdir()) == [out]


def test_a_job_that_is_killed_leaves_what_is_no_output(tmp_path: Path) -> None:
    out = tmp_path / "o.arrow"
    process = half_done(out, "--threads", "2")
    process.kill()
    process.communicate(timeout=30)
    assert not out.exists()
    (left,) = temporaries(out)
    with pytest.raises(pa.ArrowInvalid):  # nobody takes it for a whole one
        pa.ipc.open_file(left)
    # The next one is not disturbed, and removes what is old enough to be nobody's.
    os.utime(left, (0, 0))
    process = start("-", str(out), "--quiet", stdin=subprocess.PIPE)
    process.communicate(lines(0, 10), timeout=30)
    assert process.returncode == 0
    assert sorted(tmp_path.iterdir()) == [out]


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """A limit on the size of files does what a full disk does: a write fails in the middle."""
    out = tmp_path / "o.csv"
    program = (
        "import resource, sys\nfrom pyflagwasm.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\nsys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "bulk", "example:flagd", "-", str(out)],
        input=lines(0, 20_000),
        capture_output=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == f"pyflagwasm: {out}: cannot be written: File too large\n".encode()
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_away_is_no_error() -> None:
    process = start(
        "-", "-", "--quiet", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.close()
    try:
        for number in range(0, 1 << 30, 10_000):
            process.stdin.write(lines(number, 10_000))
        pytest.fail("it goes on")
    except BrokenPipeError:
        pass
    assert process.stderr is not None
    assert process.wait(timeout=30) == 0
    assert process.stderr.read() == b""
    process.stderr.close()
    try:
        process.stdin.close()
    except BrokenPipeError:  # what is left in the buffer
        pass


def test_stdout_that_is_cut_off_does_not_look_whole(tmp_path: Path) -> None:
    data = b'{"targetingKey":"a"}\n' * 70_000 + b"{\n"
    process = start(
        "-", "-", "--out-format", "arrows", "--flag", "pre-orders", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = process.communicate(data, timeout=60)
    assert process.returncode == 2
    assert err.count(b"\n") == 1
    assert b"stdin: line 70001: " in err
    assert out != b""
    assert not out.endswith(b"\xff\xff\xff\xff\0\0\0\0")


def test_a_terminal_sees_how_far_it_is(tmp_path: Path) -> None:
    rows = 1_000_000
    keys = pa.array([f"user-{number % 1000}" for number in range(rows)])
    pq.write_table(pa.table({"targetingKey": keys}), tmp_path / "u.parquet", row_group_size=100_000)
    ours, theirs = pty.openpty()
    given = (str(tmp_path / "u.parquet"), str(tmp_path / "o.ndjson"), "--flag", "loyalty")
    process = start(*given, stdin=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    shown = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            data = os.read(ours, 1 << 16)
        except OSError:  # it has closed its end
            break
        shown += data
    os.close(ours)
    assert process.wait(timeout=30) == 0
    text = shown.decode()
    assert "#" in text
    assert "% " in text
    assert "rows/s" in text
    assert " left" in text
    last = text.split("\r\x1b[K")[-1]
    assert last.startswith("1,000,000 rows in ")
    assert "#" not in last


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("no /proc here")
    program = (
        "import re, sys\nfrom pyflagwasm.cli import main\n"
        "code = main(sys.argv[1:])\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\nsys.exit(code)"
    )
    peaks = []
    # What one job takes hangs on how its threads fall; what grows with the rows is there in each of three.
    for count, times in ((1_000_000, 1), (5_000_000, 3)):
        path = tmp_path / "u.parquet"
        with pq.ParquetWriter(path, pa.schema([("targetingKey", pa.string()), ("plan", pa.string())])) as writer:
            for first in range(0, count, 100_000):
                keys = pc.binary_join_element_wise("user-", pa.array(range(first, first + 100_000)).cast("string"), "")
                writer.write_table(pa.table({"targetingKey": keys, "plan": pa.repeat("pro", 100_000)}))
        command = [sys.executable, "-c", program, "bulk", "example:flagd", str(path), str(tmp_path / "o.arrow"),
                   "--flag=checkout-button", "--keep=targetingKey", "--threads=2"]  # fmt: skip
        jobs = [
            subprocess.run(command, capture_output=True, env=environment(), timeout=30, check=True)
            for _ in range(times)
        ]
        peaks.append(min(int(done.stdout.split()[-1]) for done in jobs))
        assert pa.ipc.open_file(tmp_path / "o.arrow").read_all().num_rows == count
    assert peaks[1] < peaks[0] + 50_000  # kilobytes; the table has 150 MB more


def test_a_terminal_of_a_quiet_job_and_a_pipe_see_nothing(tmp_path: Path) -> None:
    (tmp_path / "u.ndjson").write_bytes(lines(0, 1000))
    done = subprocess.run(
        [*COMMAND, "bulk", "example:flagd", str(tmp_path / "u.ndjson"), "--json"],
        capture_output=True,
        env=environment(),
        timeout=60,
        check=True,
    )
    assert done.stderr == b""
    assert json.loads(done.stdout)["rows"] == 1000

"""The applications of docs/examples as users start them: one configuration for each answer, while the file changes."""

from __future__ import annotations

import copy
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from children import ROOT

HERE = Path(__file__).parents[1] / "docs" / "examples"
EXAMPLE: dict[str, Any] = json.loads((ROOT / "pyflagwasm" / "examples" / "flagd.json").read_bytes())
UVICORN = ["-m", "uvicorn", "--log-level", "warning", "--app-dir", str(HERE), "--port", "{port}"]
APPLICATIONS = {
    "starlette": [*UVICORN, "starlette_app:app"],
    "fastapi": [*UVICORN, "fastapi_app:app"],
    "aiohttp": [str(HERE / "aiohttp_app.py")],
}
every_application = pytest.mark.parametrize("name", APPLICATIONS)
SECONDS = 2.0
CLIENTS = 4
PATHS = [("/?visitor=user-7&city=Ghent", None), ("/checkout?visitor=user-7", {"total": 10})]


def put(path: Path, version: int) -> None:
    """The example, in which the values of three flags are of this version, in place of what is there."""
    document = copy.deepcopy(EXAMPLE)
    flags = document["flags"]
    flags["opening-hours"]["variants"] = {name: f"v{version}" for name in ("summer", "winter")}
    flags["checkout-button"]["variants"] = {name: f"v{version}" for name in ("plain", "warm", "short")}
    flags["delivery-fee"]["variants"] = {name: version + 0.5 for name in ("usual", "reduced", "none")}
    fresh = path.with_suffix(".fresh")
    fresh.write_text(json.dumps(document))
    fresh.replace(path)


def ask(port: int, path: str, body: Any = None, **headers: str) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


@contextmanager
def running(name: str, folder: Path, **environment: str) -> Iterator[int]:
    """An application in a process of its own, as its port. It must end by itself when it is told to, without a word."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    more = {"PYTHONPATH": str(ROOT), "PORT": str(port), "PYTHONWARNINGS": "error", **environment}
    command = [sys.executable, *(word.format(port=port) for word in APPLICATIONS[name])]
    with (folder / "log").open("w+b") as log:
        process = subprocess.Popen(command, env={**os.environ, **more}, stdout=log, stderr=log, cwd=folder)
        try:
            deadline = time.monotonic() + 20
            while True:
                try:
                    ask(port, "/")
                    break
                except (urllib.error.URLError, ConnectionError):
                    assert process.poll() is None, (folder / "log").read_text()
                    assert time.monotonic() < deadline
                    time.sleep(1 / 20)
            yield port
            process.terminate()
            process.wait(10)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        said = (folder / "log").read_text()
    assert "Traceback" not in said, said
    assert "Warning" not in said, said


@every_application
def test_it_answers_as_the_example_says(name: str, tmp_path: Path) -> None:
    with running(name, tmp_path) as port:
        usual = {"hours": "7:30-18:30", "pre-orders": False, "button": "Pay"}
        assert ask(port, "/") == usual
        assert ask(port, "/?visitor=user-7&city=Ghent") == {**usual, "pre-orders": True}
        assert ask(port, "/?visitor=user-7", App_Version="4.3.0") == {**usual, "button": "Bring me my bread"}
        fees = [ask(port, "/checkout", {"total": total})["fee"] for total in (10, 45, 80)]
        assert fees == [3.5, 1.75, 0]
        if name == "fastapi":
            assert ask(port, "/pre-orders?city=Ghent") == ["rye", "spelt"]
            with pytest.raises(urllib.error.HTTPError, match="404"):
                ask(port, "/pre-orders")


@every_application
def test_each_answer_is_of_one_configuration(name: str, tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    put(path, 1)
    answers: list[set[str]] = []
    failed: list[BaseException] = []
    stop = threading.Event()

    def client(port: int) -> None:
        try:
            while not stop.is_set():
                for where, body in PATHS:
                    found = ask(port, where, body)
                    versions = {found["button"], found.get("hours", found["button"])}
                    answers.append(versions | ({f"v{found['fee'] - 0.5:g}"} if "fee" in found else set()))
        except BaseException as error:
            failed.append(error)

    with running(name, tmp_path, FLAGS=str(path)) as port:
        threads = [threading.Thread(target=client, args=(port,)) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        version, ends = 1, time.monotonic() + SECONDS
        while time.monotonic() < ends:
            version += 1
            put(path, version)
            time.sleep(1 / 8)  # a file that never rests is not read
        stop.set()
        for thread in threads:
            thread.join()
        deadline = time.monotonic() + 10
        while ask(port, "/")["button"] != f"v{version}":
            assert time.monotonic() < deadline
            time.sleep(1 / 50)
    assert failed == []
    assert [each for each in answers if len(each) != 1] == []
    assert len(answers) > 50
    assert len(set().union(*answers)) >= 3

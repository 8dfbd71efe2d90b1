"""The file source where no events come: without the package that tells of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from loops import RecordingSink, every_loop, run_on
from test_source_file import document, replace, running, serves

from pyflagwasm.sources.file import FileSource


@every_loop
def test_without_the_package_it_is_looked_at_and_that_is_said_once(
    loop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "watchfiles", None)
    monkeypatch.setattr("pyflagwasm.sources.file.POLL", 0.05)
    path = tmp_path / "flags.json"
    source = FileSource(path)

    async def main() -> None:
        for first in (0, 2):
            path.write_bytes(document(first))
            sink = RecordingSink()
            async with running(source, sink):
                await serves(sink, document(first))
                replace(path, document(first + 1))
                await serves(sink, document(first + 1))
            assert sink.failures == []

    run_on(loop, main)
    assert [each.getMessage() for each in caplog.records if each.name == "pyflagwasm"] == [
        "watching a file needs the package watchfiles: pip install 'pyflagwasm[watch]'; "
        f"{path} is looked at every 0.05 s instead"
    ]

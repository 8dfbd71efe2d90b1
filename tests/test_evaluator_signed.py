"""An evaluator with trusted keys: whatever way a document comes, it is served if it is signed and not older."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from http_sources import SOON, source
from loops import every_loop, run_on
from misbehaving_server import Server, answer
from pools import versioned
from signatures import DOCUMENT, KEY, OTHER, public_pem, raw
from test_evaluator_sources import until, version_of, warnings

import pyflagwasm
from pyflagwasm import FlagEvaluator, SignatureError
from pyflagwasm.intake import Feed, Intake
from pyflagwasm.last_good import LastGood, Record
from pyflagwasm.pool.pool import Pool
from pyflagwasm.pool.swap import Swaps
from pyflagwasm.signing import LATEST, sign
from pyflagwasm.sources.base import Document
from pyflagwasm.sources.file import FileSource
from pyflagwasm.sources.http_fetch import SIGNATURE
from pyflagwasm.types import State

TRUSTED = [raw(KEY)]
UNSIGNED = "the document is not signed"
FOREIGN = "no signature is by a trusted key"
UNFIT = "does not fit the document"


def signed(version: int, key: Any = KEY, content: int | None = None) -> Document:
    """versioned(content), by default of the same number, as this version."""
    data = versioned(version if content is None else content)
    return Document(data, "test", sign(data, key, version))


def refused(now: int) -> dict[str, tuple[Any, str]]:
    """What must not take the place of the version `now`."""
    good = signed(now + 1)
    return {
        "no signature": (Document(good.data, "test"), UNSIGNED),
        "bytes": (good.data, UNSIGNED),
        "another key": (signed(now + 1, OTHER), FOREIGN),
        "changed bytes": (Document(good.data.replace(b"here", b"Here"), "test", good.signature), UNFIT),
        "the signature of another version": (Document(good.data, "test", signed(now).signature), UNFIT),
        "no text of a signature": (Document(good.data, "test", "signed"), "signature 1 is malformed"),
        "an empty text": (Document(good.data, "test", ""), "the text of the signatures is empty"),
        "an older version": (signed(now - 1), f"version {now - 1} is older than {now}, which was accepted before"),
        "other bytes of this version": (signed(now, content=now + 1), f"version {now} was accepted before with other"),
        "a mapping": ({"flags": {}}, "a mapping cannot be signed"),
        "an example": ("example:flagd", UNSIGNED),
    }


# ---------------------------------------------------------------- read at once


def sidecar(path: Path) -> Path:
    return path.with_name(f"{path.name}.sig")


def written(path: Path, document: Document) -> Path:
    path.write_bytes(document.data)
    if document.signature is not None:
        sidecar(path).write_text(f"{document.signature}\n")
    return path


@pytest.mark.parametrize("kind", refused(5))
def test_it_does_not_open(kind: str) -> None:
    if kind in ("an older version", "other bytes of this version"):
        pytest.skip("it is the first")
    document, words = refused(5)[kind]

    async def scenario() -> None:
        flags = pyflagwasm.open(document, trusted_keys=TRUSTED)
        with pytest.raises(SignatureError, match=words):
            await flags.__aenter__()
        assert flags.statistics().state is State.NOT_READY
        assert version_of(flags) == "default"

    run_on("asyncio", scenario)


@every_loop
def test_reloading_what_is_refused_changes_nothing(loop: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        path = written(tmp_path / "flags.json", signed(5))
        async with pyflagwasm.open(path, trusted_keys=TRUSTED) as flags:
            assert version_of(flags) == "v5-1"
            for kind, (document, words) in refused(5).items():
                with pytest.raises(SignatureError, match=words):
                    await flags.reload(document)
                assert (version_of(flags), flags.generation) == ("v5-1", 1), kind
            path.write_bytes(versioned(6))
            with pytest.raises(SignatureError, match=UNFIT) as raised:
                await flags.reload(path)
            assert raised.value.source == str(path)
            await flags.reload(written(path, signed(6)))
            assert version_of(flags) == "v6-1"
            await flags.reload(signed(6))  # the same again
            sidecar(path).unlink()
            with pytest.raises(SignatureError, match=UNSIGNED):
                await flags.reload(path)
            with pytest.raises(SignatureError, match="version 5 is older than 6"):
                await flags.reload(signed(5))
            assert version_of(flags) == "v6-1"

    run_on(loop, scenario)


def test_a_large_document_is_verified_too() -> None:
    large = versioned(1, 2_000)

    async def scenario() -> None:
        async with pyflagwasm.open(Document(large, "", sign(large, KEY, 1)), trusted_keys=TRUSTED) as flags:
            assert len(flags.flag_keys) == 2_000
            with pytest.raises(SignatureError, match=UNFIT):
                await flags.reload(Document(large[:-1] + b" }", "", sign(large, KEY, 2)))

    run_on("asyncio", scenario)


def test_a_version_whose_document_cannot_be_used_is_not_remembered() -> None:
    bad = b'{"flags": {"f": 5}}'

    async def scenario() -> None:
        async with pyflagwasm.open(signed(1), trusted_keys=TRUSTED) as flags:
            with pytest.raises(pyflagwasm.ConfigError, match=r"flags\.f"):
                await flags.reload(Document(bad, "", sign(bad, KEY, 9)))
            await flags.reload(signed(2))
            assert version_of(flags) == "v2-1"

    run_on("asyncio", scenario)


def test_rotation_of_keys(tmp_path: Path) -> None:
    """Who trusts the old key, the new one, or both, reads a document that is signed by both."""
    pem = tmp_path / "new.pem"
    pem.write_bytes(public_pem(OTHER))
    data = versioned(2)
    both = Document(data, "test", f"{sign(data, KEY, 2)}\n{sign(data, OTHER, 2)}")

    async def scenario() -> None:
        readers: list[list[Any]] = [[raw(KEY)], [pem], [raw(KEY), public_pem(OTHER).decode()]]
        for keys in readers:
            async with pyflagwasm.open(both, trusted_keys=keys) as flags:
                assert version_of(flags) == "v2-1"
        async with pyflagwasm.open(both, trusted_keys=[pem]) as flags:
            with pytest.raises(SignatureError, match=FOREIGN):
                await flags.reload(signed(3, KEY))
            await flags.reload(signed(3, OTHER))
            assert version_of(flags) == "v3-1"

    run_on("asyncio", scenario)


# ---------------------------------------------------------------- every bit


@pytest.mark.parametrize("part", ["document", "signature"])
def test_no_single_bit_can_change(part: str) -> None:
    text = sign(DOCUMENT, KEY, 3)
    whole = DOCUMENT if part == "document" else text.encode()

    async def scenario() -> int:
        swaps = Swaps(Pool(size=1))
        feed = Feed(FileSource("flags.json"), Intake(swaps, "auto", None, TRUSTED, None), lambda: None)
        served = 0
        for bit in range(len(whole) * 8):
            changed = bytearray(whole)
            changed[bit // 8] ^= 1 << bit % 8
            if part == "document":
                document = Document(bytes(changed), "test", text)
            else:
                document = Document(DOCUMENT, "test", changed.decode("latin-1"))
            served += (await feed.offer(document)).accepted
            assert swaps.pool.generation is None
        assert feed.statistics().refused == len(whole) * 8
        assert (await feed.offer(Document(DOCUMENT, "test", text))).accepted
        assert swaps.count == 1
        swaps.pool.close()
        return served

    assert run_on("asyncio", scenario) == 0


# ---------------------------------------------------------------- sources


def over_http(document: Document) -> bytes:
    headers = {} if document.signature is None else {SIGNATURE.lower().replace("-", "_"): document.signature}
    return answer(document.data, **headers)


@every_loop
def test_what_a_server_sends(loop: str) -> None:
    async def scenario(server: Server) -> None:
        async with pyflagwasm.open(source(server.url), trusted_keys=TRUSTED) as flags:
            assert version_of(flags) == "v5-1"
            for kind, (document, words) in refused(5).items():
                if not isinstance(document, Document) or document.signature == "":
                    continue
                server.otherwise = over_http(document)
                await until(flags, lambda words=words: words in (cause(flags) or ""))  # type: ignore[misc]
                assert (flags.statistics().state, version_of(flags)) == (State.STALE, "v5-1"), kind
            server.otherwise = over_http(signed(6))
            await until(flags, lambda: version_of(flags) == "v6-1" and flags.statistics().state is State.READY)

    with Server(otherwise=over_http(signed(5))) as server:
        run_on(loop, scenario, server)


def cause(flags: FlagEvaluator) -> str | None:
    found = flags.statistics().source
    assert found is not None
    return found.cause


@every_loop
def test_a_file_and_its_signature(loop: str, tmp_path: Path) -> None:
    path = written(tmp_path / "flags.json", signed(1))

    async def scenario() -> None:
        feed = FileSource(path, signature_path=True, poll=SOON)
        async with pyflagwasm.open(feed, trusted_keys=TRUSTED) as flags:
            assert version_of(flags) == "v1-1"
            path.write_bytes(versioned(2))  # and its signature comes later
            await until(flags, lambda: UNFIT in (cause(flags) or ""))
            assert (version_of(flags), flags.statistics().state) == ("v1-1", State.STALE)
            written(path, signed(2))
            await until(flags, lambda: version_of(flags) == "v2-1" and flags.statistics().state is State.READY)
            sidecar(path).unlink()
            await until(flags, lambda: UNSIGNED in (cause(flags) or ""))
            written(path, signed(1))
            await until(flags, lambda: "version 1 is older than 2" in (cause(flags) or ""))
            assert version_of(flags) == "v2-1"

    run_on(loop, scenario)


def test_a_bundled_one_must_be_signed(tmp_path: Path) -> None:
    async def scenario(server: Server) -> None:
        flags = pyflagwasm.open(source(server.url), trusted_keys=TRUSTED, bundled=versioned(1))
        with pytest.raises(SignatureError, match=UNSIGNED):
            await flags.__aenter__()
        path = written(tmp_path / "flags.json", signed(1))
        async with pyflagwasm.open(source(server.url), trusted_keys=TRUSTED, bundled=path) as flags:
            assert version_of(flags) == "v1-1"

    with Server(otherwise=answer(status=500)) as server:
        run_on("asyncio", scenario, server)


# ---------------------------------------------------------------- over a restart


Opening = Callable[[Server], FlagEvaluator]


def opener(path: Path, **options: Any) -> Opening:
    return lambda server: pyflagwasm.open(
        source(server.url), trusted_keys=TRUSTED, last_known_good=path, **{"start_timeout": 0.0} | options
    )


def kept(path: Path) -> int | None:
    record = LastGood(path).load()
    return None if record is None else record.version


@every_loop
def test_an_older_version_does_not_come_back_after_a_restart(loop: str, tmp_path: Path) -> None:
    path = tmp_path / "good"
    opening = opener(path)

    async def scenario(server: Server) -> None:
        async with opening(server) as flags:
            await until(flags, lambda: version_of(flags) == "v5-1" and kept(path) == 5)
        server.otherwise = over_http(signed(4))  # with a signature that is good
        async with opening(server) as flags:
            assert version_of(flags) == "v5-1"
            await until(flags, lambda: "version 4 is older than 5" in (cause(flags) or ""))
            assert (version_of(flags), flags.statistics().state) == ("v5-1", State.STALE)
            server.otherwise = over_http(signed(5, content=6))
            await until(flags, lambda: "accepted before with other bytes" in (cause(flags) or ""))
            server.otherwise = over_http(signed(6))
            await until(flags, lambda: version_of(flags) == "v6-1" and kept(path) == 6)

    with Server(otherwise=over_http(signed(5))) as server:
        run_on(loop, scenario, server)


def test_the_same_bytes_signed_as_a_newer_version_are_remembered(tmp_path: Path) -> None:
    path = tmp_path / "good"
    opening = opener(path)

    async def scenario(server: Server) -> None:
        async with opening(server) as flags:
            await until(flags, lambda: kept(path) == 1)
            server.otherwise = over_http(signed(7, content=1))
            await until(flags, lambda: kept(path) == 7)
            assert flags.statistics().swaps == 1
        server.otherwise = over_http(signed(3))
        async with opening(server) as flags:
            await until(flags, lambda: "version 3 is older than 7" in (cause(flags) or ""))
            assert version_of(flags) == "v1-1"

    with Server(otherwise=over_http(signed(1))) as server:
        run_on("asyncio", scenario, server)


FORGED: dict[str, Record] = {
    "unsigned": Record(versioned(8), "x", "auto", None, None, 0.0),
    "unsigned, of a high version": Record(versioned(8), "x", "auto", None, LATEST, 0.0),
    "signed by somebody": Record(versioned(8), "x", "auto", sign(versioned(8), OTHER, LATEST), LATEST, 0.0),
    "with a signature of other bytes": Record(versioned(8), "x", "auto", sign(versioned(7), KEY, 8), LATEST, 0.0),
    "of another format": Record(versioned(8), "x", "flagd", sign(versioned(8), OTHER, LATEST), LATEST, 0.0),
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_file_is_never_served_and_blocks_nothing(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "good"
    LastGood(path).save(FORGED[kind])
    bundled = written(tmp_path / "flags.json", signed(1))
    opening = opener(path, bundled=bundled)

    async def scenario(server: Server) -> None:
        async with opening(server) as flags:
            assert version_of(flags) == "v1-1"
            assert len([text for text in warnings(caplog) if "left aside" in text]) == 1
            server.otherwise = over_http(signed(2))
            await until(flags, lambda: version_of(flags) == "v2-1" and kept(path) == 2)

    with Server(otherwise=answer(status=500)) as server:
        run_on("asyncio", scenario, server)


@pytest.mark.parametrize("claimed", [LATEST, 1])
def test_the_version_that_a_file_claims_is_not_believed(claimed: int, tmp_path: Path) -> None:
    """Its signature is good, and says another one."""
    path = tmp_path / "good"
    good = signed(4)
    LastGood(path).save(Record(good.data, "x", "auto", good.signature, claimed, 0.0))
    opening = opener(path)

    async def scenario(server: Server) -> None:
        async with opening(server) as flags:
            assert version_of(flags) == "v4-1"
            await until(flags, lambda: "version 3 is older than 4" in (cause(flags) or ""))
            server.otherwise = over_http(signed(5))
            await until(flags, lambda: version_of(flags) == "v5-1" and kept(path) == 5, 5)

    with Server(otherwise=over_http(signed(3))) as server:
        run_on("asyncio", scenario, server)


def test_what_a_reload_overtook_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "good"

    async def scenario() -> None:
        swaps = Swaps(Pool(size=1))
        intake = Intake(swaps, "auto", None, TRUSTED, path)
        await intake.load(signed(2))
        swap = Swaps.swap
        monkeypatch.setattr(Swaps, "swap", lambda self, generation, ticket, **more: swap(self, generation, 0, **more))
        await intake.take(signed(3))
        monkeypatch.undo()
        assert kept(path) is None
        await intake.take(signed(4))
        assert kept(path) == 4
        swaps.pool.close()

    run_on("asyncio", scenario)

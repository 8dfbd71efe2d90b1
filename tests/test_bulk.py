"""Flags for whole tables: the columns that come out, what they say, and what is refused."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from importlib import resources

import pyarrow as pa
import pytest

import pyflagwasm
from pyflagwasm.bulk import BulkEvaluator
from pyflagwasm.loading import compile_source

TABLE = pa.table(
    {
        "targetingKey": [f"user-{i}" for i in range(500)],
        "city": ["Ghent" if i % 3 else None for i in range(500)],
        "app.version": ["4.3.0", "4.2.9"] * 250,
    }
)


@pytest.mark.asyncio
async def test_rows_are_answered_as_contexts_are() -> None:
    with BulkEvaluator("example:flagd", now=0) as bulk:
        rows = bulk.table(TABLE).to_pylist()
    async with pyflagwasm.open("example:flagd", clock=lambda: 0) as flags:
        for row, answer in zip(TABLE.to_pylist(), rows, strict=True):
            context = {"targetingKey": row["targetingKey"], "app": {"version": row["app.version"]}}
            if row["city"] is not None:
                context["city"] = row["city"]
            for key in flags.flag_keys:
                details = flags.details_nowait(key, context)
                assert answer[f"{key}.variant"] == details.variant
                assert answer[f"{key}.reason"] == details.reason
                assert answer[f"{key}.error_code"] == details.error_code


def test_it_can_be_pickled() -> None:
    with BulkEvaluator("example:flagd", flags=["pre-orders"], now=0) as bulk:
        other = pickle.loads(pickle.dumps(bulk))
        assert other.table(TABLE).equals(bulk.table(TABLE), check_metadata=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"flags": ["pre-order"]}, "there is no flag 'pre-order'; there are 'pre-orders'"),
        ({"outputs": ["variants"]}, "there is no output 'variants'; there are 'variant'"),
    ],
)
def test_what_is_not_there(arguments: dict[str, list[str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BulkEvaluator("example:flagd", **arguments)  # type: ignore[arg-type]


def test_metadata_says_who_answered() -> None:
    with BulkEvaluator("example:flagd", now=1.5) as bulk:
        schema = bulk.table(TABLE).schema
        assert schema.metadata == bulk.metadata == bulk.schema(TABLE.schema).metadata
    said = {key.decode(): value.decode() for key, value in bulk.metadata.items()}
    document = (resources.files("pyflagwasm") / "examples" / "flagd.json").read_bytes()
    core = (resources.files("pyflagwasm") / "core.wasm").read_bytes()
    assert said == {
        "pyflagwasm.config_digest": compile_source("example:flagd").digest,
        "pyflagwasm.document_digest": hashlib.sha256(document).hexdigest(),
        "pyflagwasm.core_digest": hashlib.sha256(core).hexdigest(),
        "pyflagwasm.generation": "1",
        "pyflagwasm.version": pyflagwasm.__version__,
        "pyflagwasm.format": "flagd",
        "pyflagwasm.now": "1.500000",
    }


def test_the_summary_counts_and_adds_up() -> None:
    with BulkEvaluator("example:flagd", flags=["pre-orders", "voice-orders"]) as bulk:
        bulk.table(TABLE)
        one = bulk.summary
        assert one.rows == 500
        assert sum(one.flags["pre-orders"].counts.values()) == one.flags["pre-orders"].rows == 500
        assert one.flags["voice-orders"].counts == {(None, "DISABLED"): 500}
        bulk.table(pa.table({"city": [b"bytes"]}))
        both = bulk.summary
        assert both.flags["pre-orders"].errors == {"INVALID_CONTEXT": 1}
        assert (both.rows, both.errors) == (501, 1)
    assert (one + both).flags["voice-orders"].variants == {None: 1001}
    assert (one + both).flags["pre-orders"].errors == {"INVALID_CONTEXT": 1}


def test_a_configuration_that_cannot_be_used() -> None:
    with pytest.raises(pyflagwasm.ConfigError, match=r"there is no example 'flag'"):
        BulkEvaluator("example:flag")
    with pytest.raises(pyflagwasm.ConfigError, match=r"gone\.json"):
        BulkEvaluator("gone.json")


def test_corrupt_offsets_are_said() -> None:
    ends = b"".join(end.to_bytes(4, "little") for end in (0, 255, 4))
    wrong = pa.StringArray.from_buffers(2, pa.py_buffer(ends), pa.py_buffer(b"user"))
    with BulkEvaluator("example:flagd") as bulk, pytest.raises(pa.ArrowInvalid, match="the input is corrupt"):
        bulk.table(pa.table({"targetingKey": wrong}))


def test_what_is_missing_is_said_in_a_line() -> None:
    program = (
        "import sys; sys.modules['pyarrow'] = None\ntry: import pyflagwasm.bulk\nexcept ImportError as e: print(e)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "evaluating tables needs the package pyarrow: pip install 'pyflagwasm[bulk]'\n"


def test_importing_the_package_needs_no_arrow() -> None:
    program = "import sys, pyflagwasm, pyflagwasm.cli.program; print('pyarrow' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False False\n"

"""`pyflagwasm codegen`: what it writes where, what it says, and its exit codes."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from codegen_documents import KEYS, hostile
from evaluators import BROKEN, LENIENT, ON_OFF, Capture, flag, run, written
from test_codegen import loaded

from pyflagwasm.typed import declared

GOES_BY: dict[str, Any] = {"if": [{"==": [{"var": "plan"}, "pro"]}, "second", "first"]}
DOCUMENT: dict[str, Any] = {
    "flags": {
        "on-for-all": flag(ON_OFF, "on"),
        "fee": flag({"first": 3.5, "second": 0}, "second"),
        "tone": flag({"first": "plain", "second": "warm"}, "second", GOES_BY),
        "later": flag(
            {"first": "a", "second": "b"}, "second", {"if": [{">=": [{"var": "$flagd.timestamp"}, 1]}, "second"]}
        ),
        "disabled": {**flag({"first": 1, "second": 2}, "second"), "state": "DISABLED"},
        "fails": flag({"first": "x", "second": "y"}, "second", {"/": [1, {"var": "n"}]}),
    }
}


@pytest.fixture
def shop(tmp_path: Path) -> str:
    return written(tmp_path, "shop.json", json.dumps(DOCUMENT).encode())


def defaults(out: str) -> dict[str, Any]:
    return {each.key: each.default for each in declared(loaded(out)["Flags"]).values()}


EXAMPLE = '''\
class Flags(FlagSet):
    """For one context: `Flags(flags.bind(context))`. Each attribute is a flag's value."""

    pre_orders = Flag("pre-orders", default=False)
    checkout_button = Flag("checkout-button", default="Pay")
    delivery_fee = Flag("delivery-fee", default=3.5)
    loyalty = Flag[Mapping[str, Any]](
        "loyalty",
        default={"kind": "stamps", "needed": 10},
    )
    opening_hours = Flag("opening-hours", default="7:30-18:30")
    voice_orders = Flag("voice-orders", default=False)
'''


def test_an_example(capsys: Capture) -> None:
    code, out, err = run(capsys, "codegen", "example:flagd")
    assert (code, err) == (0, "")
    assert out.endswith(f"\n\n\n{EXAMPLE}")
    assert run(capsys, "codegen", "example:flagd", "--output", "-") == (0, out, "")


def test_defaults(capsys: Capture, shop: str) -> None:
    expected = {"on-for-all": False, "fee": 0.0, "tone": "plain", "later": "a", "disabled": 1, "fails": "x"}
    _, out, _ = run(capsys, "codegen", shop)
    assert defaults(out) == expected
    _, out, _ = run(capsys, "codegen", shop, "--defaults", "served")
    assert defaults(out) == {**expected, "on-for-all": True}


def test_chance_is_no_default(capsys: Capture, tmp_path: Path) -> None:
    strategy = {"name": "flexibleRollout", "parameters": {"rollout": "50", "stickiness": "random", "groupId": "g"}}
    variants = [{"name": name, "weight": 500, "stickiness": "random"} for name in ("a", "b")]
    feature = {"name": "f", "enabled": True, "strategies": [strategy], "variants": variants}
    document = {"version": 2, "features": [{**feature, "name": f"f{number}"} for number in range(20)]}
    path = written(tmp_path, "unleash.json", json.dumps(document).encode())
    outs = {run(capsys, "codegen", path, "--defaults", "served") for _ in range(3)}
    assert len(outs) == 1
    assert next(iter(outs))[0] == 0


def test_flags_that_are_broken_stay(capsys: Capture, tmp_path: Path) -> None:
    path = written(tmp_path, "broken.json", json.dumps(BROKEN).encode())
    code, out, err = run(capsys, "codegen", path, "--options", json.dumps(LENIENT))
    assert (code, err) == (0, "")
    assert defaults(out) == {"divides": False, "astray": False, "shapeless": None, "sound": False}
    assert 'shapeless = Flag[Any]("shapeless", default=None)' in out


def test_literals_and_the_name_of_the_class(capsys: Capture, shop: str) -> None:
    code, out, _ = run(capsys, "codegen", shop, "--literals", "--class", "Bakery")
    assert code == 0
    assert 'ToneValue = Literal["plain", "warm"]\n' in out
    assert '    tone = Flag[ToneValue]("tone", default="plain")\n' in out
    assert "class Bakery(FlagSet):" in out


def test_a_file(capsys: Capture, shop: str, tmp_path: Path) -> None:
    path = tmp_path / "flags.py"
    check = ("codegen", shop, "--output", str(path), "--check")
    again = "run the same command without --check"
    assert run(capsys, *check) == (1, "", f"pyflagwasm: {path}: is not there: {again}\n")
    assert not path.exists()

    code, out, err = run(capsys, *check[:-1])
    assert (code, err) == (0, "")
    assert json.loads(out) == {"config": shop, "output": str(path), "flags": 6, "changed": True}
    assert path.read_text() == run(capsys, "codegen", shop)[1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert run(capsys, *check) == (0, "", "")

    before = path.stat()
    code, out, _ = run(capsys, *check[:-1])
    assert (code, json.loads(out)["changed"]) == (0, False)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)

    path.write_text(path.read_text() + "\n")
    path.chmod(0o640)
    assert run(capsys, *check) == (1, "", f"pyflagwasm: {path}: is not what would be written: {again}\n")
    assert run(capsys, *check[:-1])[0] == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert run(capsys, *check)[0] == 0


@pytest.mark.parametrize("emit", ["python", "manifest"])
def test_a_file_that_somebody_else_has_written_is_left_alone(
    capsys: Capture, shop: str, tmp_path: Path, emit: str
) -> None:
    generated = run(capsys, "codegen", shop, "--emit", emit)[1]
    path = tmp_path / "mine"
    write = ("codegen", shop, "--emit", emit, "--output", str(path))
    refusal = f"{path}: codegen has not written this file: give another --output, or --force to replace it"
    for mine in (b"import os\n", b"{}", b"\xff\x00", generated[1:].encode(), Path(shop).read_bytes()):
        path.write_bytes(mine)
        assert run(capsys, *write) == (2, "", f"pyflagwasm: {refusal}\n")
        assert path.read_bytes() == mine
    assert run(capsys, *write, "--check")[0] == 1
    assert run(capsys, *write, "--force")[0] == 0
    assert path.read_text() == generated
    for ours in (b"", b"\n", generated.replace("\n", "\r\n").encode() + b"\n"):
        path.write_bytes(ours)
        assert run(capsys, *write)[0] == 0
        assert path.read_text() == generated


def test_a_link_stays_one(capsys: Capture, shop: str, tmp_path: Path) -> None:
    (tmp_path / "target.py").write_text("")
    os.symlink("target.py", tmp_path / "link.py")
    assert run(capsys, "codegen", shop, "--output", str(tmp_path / "link.py"))[0] == 0
    assert (tmp_path / "link.py").is_symlink()
    assert "FlagSet" in (tmp_path / "target.py").read_text()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_what_is_no_file_is_not_replaced(capsys: Capture, shop: str, tmp_path: Path) -> None:
    """A pipe as /dev/null would be: by whoever may do so, it would be replaced by a file."""
    os.mkfifo(tmp_path / "pipe")
    os.symlink("pipe", tmp_path / "link")
    for name in ("pipe", "link"):
        code, out, err = run(capsys, "codegen", shop, "--output", str(tmp_path / name))
        assert (code, out, "is no regular file" in err) == (2, "", True)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_hostile_keys(capsys: Capture, tmp_path: Path) -> None:
    path = written(tmp_path, "hostile.json", hostile())
    output = str(tmp_path / "flags.py")
    for more in ((), ("--literals",)):
        assert run(capsys, "codegen", path, "--output", output, *more)[0] == 0
        assert run(capsys, "codegen", path, "--output", output, "--check", *more)[0] == 0
        found = declared(loaded(Path(output).read_text("utf-8"))["Flags"])
        assert [each.key for each in found.values()] == KEYS


# ---------------------------------------------------------------- manifests


def test_a_manifest_there_and_back(capsys: Capture, shop: str, tmp_path: Path) -> None:
    """What is written of a manifest that was written of a configuration is what is written of the configuration."""
    for config in (shop, "example:flagd", "example:devcycle"):
        output = str(tmp_path / "flags.json")
        assert run(capsys, "codegen", config, "--emit", "manifest", "--output", output)[0] == 0
        assert json.loads(Path(output).read_text())["flags"]
        direct = run(capsys, "codegen", config)
        assert run(capsys, "codegen", output) == direct
        assert run(capsys, "codegen", output, "--manifest") == direct
        assert run(capsys, "codegen", config, "--emit", "manifest", "--output", output, "--check") == (0, "", "")


def test_a_manifest_that_is_edited(capsys: Capture, tmp_path: Path) -> None:
    document = {"flags": {"new-checkout": {"flagType": "boolean", "defaultValue": True, "description": "Soon."}}}
    path = written(tmp_path, "flags.json", json.dumps(document).encode())
    _, out, _ = run(capsys, "codegen", "--manifest", path)
    assert '    new_checkout = Flag("new-checkout", default=True)\n    """Soon."""\n' in out
    _, out, _ = run(capsys, "codegen", path, "--emit", "manifest")
    assert json.loads(out)["flags"] == document["flags"]


# ---------------------------------------------------------------- refusals


def test_refusals(capsys: Capture, shop: str, tmp_path: Path) -> None:
    empty = written(tmp_path, "empty.json", b'{"flags": {}}')
    wrong = written(tmp_path, "wrong.json", b'{"flags": {"f": {"flagType": "boolean", "defaultValue": 1}}}')
    mistaken = "the default of a flag of type boolean must be true or false, not an integer"
    folder = str(tmp_path)
    cases: list[tuple[tuple[str, ...], str]] = [
        ((shop, "--check"), "--check: there is no --output FILE to compare with"),
        ((shop, "--check", "--output", "-"), "--check: there is no --output FILE to compare with"),
        *(
            ((shop, "--class", name), f"--class: {name!r} cannot be the name of the class")
            for name in ("1st", "class", "a b", "Flag", "Mapping", "int", "None")
        ),
        ((wrong,), f"{wrong}: flags.f.defaultValue: {mistaken}"),
        ((wrong, "--literals"), "--literals: a manifest has no variants"),
        ((empty, "--manifest", "--format", "flagd"), "--manifest: a manifest has neither --format nor --options"),
        ((shop, "--manifest"), f"{shop}: flags.on-for-all.flagType: the flag's type is missing"),
        ((f"{shop}.not",), f"{shop}.not: cannot be read: No such file or directory"),
        ((shop, "--output", folder), f"{folder}: cannot be read: Is a directory"),
        (
            (shop, "--output", f"{folder}/no/flags.py"),
            f"{folder}/no/flags.py: cannot be written: No such file or directory",
        ),
    ]
    for arguments, message in cases:
        assert run(capsys, "codegen", *arguments) == (2, "", f"pyflagwasm: {message}\n")


def test_a_key_that_no_manifest_has(capsys: Capture, tmp_path: Path) -> None:
    path = written(tmp_path, "hostile.json", hostile())
    message = 'flags["a\\nb"]: a manifest has no keys that are empty or have line breaks'
    assert run(capsys, "codegen", path, "--emit", "manifest") == (2, "", f"pyflagwasm: {path}: {message}\n")


def test_an_empty_manifest(capsys: Capture, tmp_path: Path) -> None:
    path = written(tmp_path, "empty.json", b'{"flags": {}}')
    code, out, _ = run(capsys, "codegen", path, "--manifest")
    assert code == 0
    assert defaults(out) == {}

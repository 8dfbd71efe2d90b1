"""Pictures and the line of progress: texts that fit, shares that are not rounded away, SVG that is one."""

from __future__ import annotations

import io
import xml.etree.ElementTree as xml

import pytest

pytest.importorskip("pyarrow")

from pyflagwasm.bulk import picture
from pyflagwasm.bulk.picture import Bar, Flow, Part
from pyflagwasm.bulk.progress import Progress, duration, rate, took

SVG = "{http://www.w3.org/2000/svg}"


def drawn(text: str) -> xml.Element:
    root = xml.fromstring(text)
    height, width = float(root.attrib["height"]), float(root.attrib["width"])
    for each in root.iter(f"{SVG}text"):
        x, y, size = (float(each.attrib[name]) for name in ("x", "y", "font-size"))
        said = (each.text or "") + "".join(child.tail or "" for child in each)
        wide = picture.width(said, size)
        left, right = (x, x + wide) if each.attrib["text-anchor"] == "start" else (x - wide, x)
        assert 0 <= left < right <= width
        assert 0 < y < height
    for each in root.iter(f"{SVG}rect"):
        if each.attrib["width"] != "100%":
            assert float(each.attrib["x"]) + float(each.attrib["width"]) <= width
            assert float(each.attrib["y"]) + float(each.attrib["height"]) <= height
    return root


def test_a_split_of_fifty_flags_with_long_keys() -> None:
    bars = [
        Bar(f"a-flag-with-quite-a-long-key.that.nobody-would-type-twice-{number:03}" * (1 + number % 3), [
            Part("on <&>", 10_000 - number), Part("off" * (1 + number % 40), number),
            Part("(default) DISABLED", 5, "none"), Part("INVALID_CONTEXT", 1, "error"),
        ])
        for number in range(50)
    ]  # fmt: skip
    root = drawn(picture.split("flags.json", ["users.parquet: 1 row"], bars))
    titles = [each.text for each in root.iter(f"{SVG}title")]
    assert bars[2].title in titles  # a key that does not fit is whole in its tooltip
    assert "on <&>: 10,000 (99.9%)" in titles


def test_many_variants_are_few_parts() -> None:
    parts = [Part(f"v-{number}", 100 - number) for number in range(40)]
    root = drawn(picture.split("f", [], [Bar("many", parts), Bar("empty", [])]))
    texts = [each.text or "" for each in root.iter(f"{SVG}text")]
    total = sum(part.count for part in parts)
    rest = sum(part.count for part in parts[11:])
    assert f"29 more  {100 * rest / total:.1f}%" in texts
    assert not any(text.startswith("v-39") for text in texts)


def test_flows_keep_their_widths() -> None:
    before = [Part("a", 600), Part("b", 400)]
    after = [Part("a", 500), Part("b", 499), Part("GENERAL", 1, "error")]
    moves = [(0, 0, 500), (0, 1, 99), (0, 2, 1), (1, 1, 400)]
    root = drawn(picture.flows("x", [], [Flow("f", before, after, moves, 100)]))
    paths = [each[0].text for each in root.iter(f"{SVG}path")]
    assert sorted(paths, key=str) == sorted(
        ["a \u2192 a: 500 (50.0%)", "a \u2192 b: 99 (9.9%)", "a \u2192 GENERAL: 1 (0.1%)", "b \u2192 b: 400 (40.0%)"]
    )


def test_control_characters_are_no_xml() -> None:
    drawn(picture.split("a\0b", ["\ud800"], [Bar("\x1b[31m", [Part("\n", 1)])]))


@pytest.mark.parametrize(
    ("count", "total", "text"),
    [
        (0, 0, "0%"),
        (0, 5, "0.0%"),
        (5, 5, "100.0%"),
        (1, 3, "33.3%"),
        (1, 10**6, "<0.1%"),
        (10**6 - 1, 10**6, ">99.9%"),
    ],
)
def test_percent(count: int, total: int, text: str) -> None:
    assert picture.percent(count, total) == text


# ---------------------------------------------------------------- progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_is_drawn_ten_times_a_second_at_most() -> None:
    stream, now = Terminal(), [0.0]
    progress = Progress(stream, lambda rows: rows / 1_000_000, clock=lambda: now[0])
    for _ in range(100):
        now[0] += 0.01
        progress.add(5_000)
    assert 9 <= stream.getvalue().count("\r") <= 10
    assert "500,000 rows, 500.0 k rows/s, 0:01 left" in progress.line(1.0)
    assert " 50%  " in progress.line(1.0)
    progress.end()
    drawn = stream.getvalue()
    assert drawn.endswith("\r\x1b[K")
    progress.add(1)
    progress.end()
    assert stream.getvalue() == drawn


def test_nothing_is_drawn_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_drawn(stream: io.StringIO | None, *, quiet: bool = False) -> str:
        now = [0.0]
        progress = Progress(stream, lambda rows: None, quiet=quiet, clock=lambda: now[0])
        now[0] = 5.0
        progress.add(10)
        progress.end()
        assert progress.rows == 10
        return "" if stream is None else stream.getvalue()

    assert all_drawn(Terminal()) == "\r\x1b[K10 rows, 2 rows/s, 0:05\r\x1b[K"
    assert all_drawn(None) == all_drawn(io.StringIO()) == all_drawn(Terminal(), quiet=True) == ""
    monkeypatch.setenv("TERM", "dumb")
    assert all_drawn(Terminal()) == ""


def test_a_terminal_that_is_gone_does_not_end_the_job() -> None:
    class Gone(Terminal):
        def write(self, text: str) -> int:
            raise OSError("gone")

    now = [0.0]
    progress = Progress(Gone(), lambda rows: None, clock=lambda: now[0])
    now[0] = 1.0
    progress.add(1)
    progress.end()


def test_words_for_times() -> None:
    assert [duration(seconds) for seconds in (0, 7.4, 59.6, 754, 10_800)] == [
        "0:00",
        "0:07",
        "1:00",
        "12:34",
        "3:00:00",
    ]
    assert [took(seconds) for seconds in (0.04, 1.44, 60)] == ["0.0 s", "1.4 s", "1:00"]
    assert [rate(rows, 2) for rows in (0, 5, 5_000, 5_000_000)] == [
        "0 rows/s", "2 rows/s", "2.5 k rows/s", "2.5 M rows/s",
    ]  # fmt: skip
    assert rate(5, 0) == "0 rows/s"

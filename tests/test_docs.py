"""The documentation does what it says: each block of code is run (pages.py), each link leads somewhere."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from pages import DOCS, PAGES, Block, blocks, check_data, run_program, run_shell, written

KINDS = {"python", "text", "json", "csv", "toml", "ini", "shell"}
QUICKSTART = DOCS / "quickstart.md"


def name(page: Path) -> str:
    return page.relative_to(DOCS).as_posix()


def folder_of(page: Path, folder: Path) -> list[Block]:
    """Writes the files that a page may use: the applications, the quickstart's, and its own."""
    for example in (DOCS / "examples").iterdir():
        if example.suffix == ".py":
            shutil.copy(example, folder)
    written(blocks(QUICKSTART), folder)
    found = blocks(page)
    written(found, folder)
    return found


def test_there_are_pages() -> None:
    assert {name(page) for page in PAGES} >= {"README.md", "quickstart.md"}
    assert sum(len(blocks(page)) for page in PAGES) > 20


@pytest.mark.parametrize(
    "head", ["   ```python", "- ```python", "```Python", "```python3", "~~~python", "> ```", "````python"]
)
def test_no_block_is_passed_over(tmp_path: Path, head: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"```text\na\n```\n\n{head}\n1 / 0\n```\n")
    with pytest.raises(AssertionError, match=r"page\.md:\d"):
        blocks(page)


def test_a_file_of_a_page_is_python(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python shop.py\ndef f(:\n```\n")
    with pytest.raises(SyntaxError, match="invalid syntax"):
        check_data(blocks(page)[0])


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_its_program(page: Path, tmp_path: Path) -> None:
    found = folder_of(page, tmp_path)
    for block in found:
        assert block.kind in KINDS, f"{block.place}: {block.kind!r} is not run by pages.py"
        check_data(block)
    run_program(found, tmp_path)


SHELLS = [block for page in PAGES for block in blocks(page) if block.kind == "shell"]


@pytest.mark.parametrize("block", SHELLS, ids=lambda block: block.place)
def test_its_commands(block: Block, tmp_path: Path) -> None:
    if "curl" in block.text and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    page = next(page for page in PAGES if page.name == block.place.split(":")[0])
    folder_of(page, tmp_path)
    run_shell(block, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{name(page)}: {link}"
        if anchor:
            heads = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            found = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
            assert anchor in found, f"{name(page)}: {link}"


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "README.md").read_text()
    assert [name(page) for page in PAGES if f"({name(page)})" not in index and page.name != "README.md"] == []

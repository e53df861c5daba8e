"""docs/security.md names every requirement once, and no file, test or command that does not exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "security.md"
REQUIREMENTS = {
    "8725-3": (12,),
    "6": (3, 12, 8, 6, 8, 4, 2, 4),
    "7": (3, 4, 2, 5, 3, 2),
    "9": (3, 4),
}
"""ASVS 5.0: how many requirements each section of a chapter has; RFC 8725: the parts of section 3."""


def rows() -> list[list[str]]:
    """id, asked, state, where, tests."""
    found = [line.strip("|").split("|") for line in PAGE.read_text().splitlines() if re.match(r"\| (8725-)?\d", line)]
    return [[cell.strip() for cell in row] for row in found]


def expected() -> list[str]:
    listed = [f"8725-3.{number}" for number in range(1, REQUIREMENTS["8725-3"][0] + 1)]
    for chapter in ("6", "7", "9"):
        for section, count in enumerate(REQUIREMENTS[chapter], 1):
            listed += [f"{chapter}.{section}.{number}" for number in range(1, count + 1)]
    return listed


def known_tests() -> set[str]:
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(node.name)
    return found


def test_every_requirement_has_one_row() -> None:
    assert [row[0] for row in rows()] == expected()
    assert len(expected()) == 12 + 47 + 19 + 7


@pytest.mark.parametrize("row", rows(), ids=lambda row: str(row[0]))
def test_a_row_says_how_it_is_met_and_which_test_holds_it(row: list[str]) -> None:
    _, asked, state, where, tests = row
    assert asked
    assert state in ("met", "in part", "no", "–")
    assert where, "where it is met, or why it is not"
    assert bool(re.findall(r"`test_\w+`", tests)) == (state in ("met", "in part"))


def test_every_test_that_is_named_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text()))
    assert named - known_tests() == set()
    assert len(named) > 50


def test_every_file_that_is_named_exists() -> None:
    named = re.findall(r"`([a-z_]+(?:/[\w.-]+)+\.(?:py|md))`", PAGE.read_text())
    assert len(set(named)) > 10
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_every_command_that_is_named_exists() -> None:
    commands = (ROOT / "services/identity/__main__.py").read_text()
    for name in ("create-member", "send-reset", "reset-factors", "sign-out", "suspend"):
        assert f"`{name}`" in PAGE.read_text()
        assert f"def {name.replace('-', '_')}(" in commands

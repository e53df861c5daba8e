"""Lines out of a map: what one rectangle fits, and what runs into each other."""

import numpy as np
import numpy.typing as npt
import pytest

from services.redactor.detectors import turned_back
from services.redactor.detectors.lines import Line, lines_of

Map = npt.NDArray[np.float32]


def with_bars(*bars: tuple[int, int, int, int], level: float = 0.95) -> Map:
    """A map with bars of lettering (left, top, width, height)."""
    likely = np.zeros((200, 300), np.float32)
    for left, top, width, height in bars:
        likely[top : top + height, left : left + width] = level
    return likely


def covered(lines: list[tuple[Line, float]], bar: tuple[int, int, int, int]) -> bool:
    """Whether the pieces of one of the lines lie over the whole bar."""
    left, top, width, height = bar
    for line, _ in lines:
        for edges in line.pieces():
            over = edges[0] <= left and edges[1] <= top and edges[2] >= left + width and edges[3] >= top + height
            if over:
                return True
    return False


def test_a_bar_is_one_line_grown_to_its_full_height() -> None:
    bar = (50, 90, 120, 10)
    found = list(lines_of(with_bars(bar), 0.3, 0.45, 1.6, apart=0.45))
    assert len(found) == 1
    assert covered(found, bar)
    assert 18 <= found[0][0].down <= 32


def test_a_column_that_runs_into_the_rows_beside_it_is_taken_apart() -> None:
    """The numbers of a table: seen as one standing line, with words that lie beside it joined to its foot."""
    column, rows = (100, 20, 8, 120), ((100, 132, 150, 8), (30, 20, 78, 8))
    found = list(lines_of(with_bars(column, *rows), 0.3, 0.45, 1.6, apart=0.45))
    assert all(covered(found, bar) for bar in (column, *rows))
    assert all(min(line.across, line.down) < 40 for line, _ in found)


def test_nothing_is_taken_apart_unasked() -> None:
    assert not list(lines_of(with_bars((100, 20, 8, 120), (100, 132, 150, 8), (30, 20, 78, 8)), 0.3, 0.45, 1.6))


def test_what_the_map_is_not_sure_of_is_not_taken_apart() -> None:
    tangle = with_bars((100, 20, 8, 120), (100, 132, 150, 8), (30, 20, 78, 8), level=0.6)
    assert not list(lines_of(tangle, 0.3, 0.45, 1.6, apart=0.45))


def test_a_speck_is_no_line() -> None:
    assert not list(lines_of(with_bars((50, 50, 2, 1)), 0.3, 0.45, 1.6, apart=0.45))


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_a_line_found_in_a_turned_picture_lies_where_its_box_does(turn: int) -> None:
    width, height = 400, 300
    across, down = (height, width) if turn % 2 else (width, height)
    line = Line((across * 0.3, down * 0.6), 80, 20, 0.0)
    (edges,) = line.pieces()
    (back,) = line.turned_back(turn, width, height).pieces()
    assert np.allclose(back, turned_back(edges[np.newaxis], turn, width, height)[0], atol=0.5)


def test_a_tangle_that_is_nearly_believed_as_it_is_is_taken_apart_too() -> None:
    """Nothing that was found is lost by believing less: what is a line only in its parts stays one."""
    bars = ((100, 20, 8, 120), (100, 132, 150, 8))
    tangle = with_bars(*bars)
    ((_, mean),) = lines_of(tangle, 0.3, 0.05, 1.6)
    found = list(lines_of(tangle, 0.3, 0.9 * mean, 1.6, apart=1.01 * mean))
    assert all(covered([each for each in found if min(each[0].across, each[0].down) < 40], bar) for bar in bars)
    assert not [each for each in lines_of(tangle, 0.3, 0.9 * mean, 1.6) if min(each[0].across, each[0].down) < 40]

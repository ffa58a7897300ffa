"""A listing fits into the terminal, and breaks no word to do so."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from sluice.cli.tables import Listing, listing

LATE = listing(
    "toy: late",
    ("steps", "partitions", "what", "why"),
    [
        (
            "conform, doubled",
            "dt=2013-01-01..dt=2013-01-14",
            "waits",
            "toy/events dt=2013-01-14: still open",
        ),
        ("running", "dt=2013-01-02", "", "never made"),
    ],
)


def printed(shown: Listing, width: int) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(shown)
    return [line.rstrip() for line in captured.get().splitlines()]


def test_table_takes_the_room_that_it_needs() -> None:
    assert printed(LATE, 160)[4:6] == [
        "│ conform, doubled │ dt=2013-01-01..dt=2013-01-14 │ waits │ toy/events dt=2013-01-14: still open │",
        "│ running          │ dt=2013-01-02                │       │ never made                           │",
    ]


def test_columns_are_wrapped_between_words_if_that_is_enough() -> None:
    assert printed(LATE, 80)[4:] == [
        "│ conform,       │ dt=2013-01-01..dt=2013-01-14 │ waits │ toy/events           │",
        "│ doubled        │                              │       │ dt=2013-01-14: still │",
        "│                │                              │       │ open                 │",
        "│ running        │ dt=2013-01-02                │       │ never made           │",
        "└────────────────┴──────────────────────────────┴───────┴──────────────────────┘",
    ]


def test_rows_are_blocks_of_lines_if_a_word_would_break() -> None:
    assert printed(LATE, 55) == [
        "toy: late",
        "  steps       conform, doubled",
        "  partitions  dt=2013-01-01..dt=2013-01-14",
        "  what        waits",
        "  why         toy/events dt=2013-01-14: still open",
        "",
        "  steps       running",
        "  partitions  dt=2013-01-02",
        "  why         never made",
        "",
    ]


def test_columns_without_content_are_left_out_and_a_table_without_rows_says_so() -> None:
    assert "b" not in "".join(printed(listing("t", ("a", "b", "c"), [(1, None, 0), (2, "", "x")]), 80))
    assert printed(listing("t", ("a", "b"), []), 80) == ["t: none"]


@given(
    st.lists(st.lists(st.text("abc, ", max_size=30), min_size=3, max_size=3), min_size=1, max_size=4),
    st.integers(24, 90),
)
def test_no_line_is_too_long_and_no_word_is_broken(rows: list[list[str]], width: int) -> None:
    shown = printed(listing("title", ("one", "two", "three"), rows), width)

    assert max(map(cell_len, shown)) <= width
    left = " ".join(shown).replace("│", " ").split()
    longest = width - 10  # what a block has beside its headers
    assert {word for row in rows for cell in row for word in cell.split() if len(word) <= longest} <= set(left)

"""Draws pictures that are a part of their page: SVG in a ``data:`` URI. The same numbers give the same bytes (P4)."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 9.7  # inches, of a picture as wide as the page
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "sluice",  # else the ids in the SVG are random
    "svg.fonttype": "none",
    "text.parse_math": False,  # a name of the data may have dollar signs
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "grid.color": "#e3e6ea",
    "legend.frameon": False,
}
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_LONGEST_NAME = 32  # characters


@dataclass(frozen=True)
class Picture:
    """A picture with what a reader has to know about it.

    Attributes:
        title: What it shows.
        caption: How to read it.
        image: A ``data:`` URI.
    """

    title: str
    caption: str
    image: str


@dataclass(frozen=True)
class Series:
    """A value for each of some names.

    Attributes:
        name: What they are of, for the legend.
        colour: How they are drawn.
        values: By name. A name may lack one.
    """

    name: str
    colour: str
    values: Mapping[str, float]


def picture(
    title: str, caption: str, draw: Callable[[Figure], None], *, height: float, width: float = WIDTH
) -> Picture:
    """Draw a picture.

    Args:
        title: What it shows.
        caption: How to read it.
        draw: Draws it on an empty figure.
        height: In inches.
        width: In inches.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        svg = io.BytesIO()
        figure.savefig(svg, format="svg", metadata=_NO_METADATA)
    return Picture(title, caption, f"data:image/svg+xml;base64,{base64.b64encode(svg.getvalue()).decode()}")


def bars(axes: Axes, names: Sequence[str], series: Sequence[Series]) -> None:
    """Draw horizontal bars, those of one name side by side, the first name at the top.

    Args:
        axes: Where.
        names: Names of the data.
        series: The bars of one colour.
    """
    thickness = 0.8 / len(series)
    for place, each in enumerate(series):
        offset = (place - (len(series) - 1) / 2) * thickness
        values = [each.values.get(name, 0.0) for name in names]
        axes.barh(np.arange(len(names)) + offset, values, thickness, color=each.colour, label=each.name)
    rows_of(axes, [shown(name) for name in names])


def rows_of(axes: Axes, names: Sequence[str]) -> None:
    """Name the rows of a picture, the first at the top.

    Args:
        axes: Where.
        names: As they are shown.
    """
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")


def shown(name: str) -> str:
    """Return a name of the data as a picture can show it: short, and without characters that XML does not have.

    Args:
        name: Any text.
    """
    printable = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in name)
    return printable if len(printable) <= _LONGEST_NAME else f"{printable[: _LONGEST_NAME - 1]}…"

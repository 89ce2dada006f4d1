"""What a measurement tells: rows of the table, and whether each reached its aim. Pure."""

from dataclasses import dataclass
from enum import Enum
from statistics import median
from typing import Any, Final


class Verdict(Enum):
    """How a row stands to its aim."""

    REACHED = "reached"
    SHORT = "falls short"
    NO_AIM = "-"


@dataclass(frozen=True, slots=True)
class Aim:
    """A bound for our figure, or for its ratio to the baseline."""

    bound: float
    at_least: bool = True
    of_ratio: bool = False

    def is_reached(self, ours: float, ratio: float | None) -> bool:
        """Whether the figure keeps to the bound; a ratio without a baseline does not."""
        figure = ratio if self.of_ratio else ours
        if figure is None:
            return False
        return figure >= self.bound if self.at_least else figure <= self.bound

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        return f"{sign} {number(self.bound)}{' x' if self.of_ratio else ''}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    ours, baseline   one figure a round, in ``unit``; the medians are shown
    against          what the baseline is
    notes            further facts for the JSON form: sizes, counts, seconds of CPU
    """

    name: str
    what: str
    unit: str
    ours: tuple[float, ...]
    baseline: tuple[float, ...] = ()
    against: str = ""
    aim: Aim | None = None
    notes: dict[str, Any] | None = None

    @property
    def figure(self) -> float:
        """Our median."""
        return median(self.ours)

    @property
    def base(self) -> float | None:
        """The baseline's median, None without one."""
        return median(self.baseline) if self.baseline else None

    @property
    def ratio(self) -> float | None:
        """Ours to the baseline."""
        return self.figure / self.base if self.base else None

    @property
    def verdict(self) -> Verdict:
        """Against the aim."""
        if self.aim is None:
            return Verdict.NO_AIM
        reached = self.aim.is_reached(self.figure, self.ratio)
        return Verdict.REACHED if reached else Verdict.SHORT

    def as_json(self) -> dict[str, Any]:
        """Everything, for the JSON form."""
        return {
            "name": self.name,
            "what": self.what,
            "unit": self.unit,
            "ours": self.figure,
            "baseline": self.base,
            "against": self.against or None,
            "ratio": self.ratio,
            "aim": None if self.aim is None else str(self.aim),
            "verdict": None if self.aim is None else self.verdict.value,
            "rounds": {"ours": list(self.ours), "baseline": list(self.baseline)},
            "notes": self.notes or {},
        }


_WIDTHS: Final = (10, 46, 17, 17, 6, 12)


def line(*cells: str) -> str:
    """Cells in columns: two texts to the left, figures to the right."""
    name, what, ours, base, ratio, aim, verdict = cells
    texts = [name.ljust(_WIDTHS[0]), what.ljust(_WIDTHS[1])]
    figures = [
        text.rjust(width) for text, width in zip((ours, base, ratio, aim), _WIDTHS[2:], strict=True)
    ]
    return "  ".join([*texts, *figures, verdict]).rstrip()


HEADINGS: Final = line("name", "what", "ours", "baseline", "ratio", "aim", "verdict")


def row_text(row: Row) -> str:
    """One row as a line of the table."""
    base, ratio = row.base, row.ratio
    return line(
        row.name,
        row.what,
        f"{number(row.figure)} {row.unit}",
        "-" if base is None else f"{number(base)} {row.unit}",
        "-" if ratio is None else f"{ratio:.2f}",
        "-" if row.aim is None else str(row.aim),
        row.verdict.value,
    )


def number(value: float) -> str:
    """Three digits or more: 23,456 or 1.23."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def quantile(values: list[float], share: float) -> float:
    """The value that ``share`` of them do not exceed; ValueError for none."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

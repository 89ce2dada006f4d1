"""Plain tables on standard output."""

from collections.abc import Sequence
from datetime import datetime


def show(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a head and rows, columns aligned; a line that says so when there is no row."""
    if not rows:
        print("none")
        return
    table = [list(head), *([_text(cell) for cell in row] for row in rows)]
    widths = [max(len(row[place]) for row in table) for place in range(len(head))]
    for row in table:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def _text(cell: object) -> str:
    match cell:
        case None:
            return "-"
        case bool():
            return "yes" if cell else "no"
        case datetime():
            return cell.isoformat(timespec="seconds")
    return str(cell)

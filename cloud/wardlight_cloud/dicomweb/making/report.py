"""A structured report as a page to be read: its title, who and when, and the tree of its content.

Each content item shows its concept and its value; what an item refers to is named by its kind, not
drawn. Everything from the file is escaped.
Source  PS3.3, C.17.3
"""

from collections.abc import Iterator
from html import escape
from typing import Any, Final

from pydicom.dataset import Dataset

from wardlight_cloud.dicomweb.making.reading import read
from wardlight_cloud.dicomweb.making.refusal import Refusal

_DEEPEST: Final = 64
_MOST_ITEMS: Final = 20_000
_STYLE: Final = (
    "body{font:16px/1.45 system-ui,sans-serif;max-width:52rem;margin:1rem auto;padding:0 1rem}"
    "ul{padding-left:1.2rem}li{margin:.2rem 0}.c{color:#555}p{white-space:pre-wrap;margin:.1rem 0}"
)


def page(file: str) -> bytes:
    """The report as HTML, UTF-8."""
    dataset = read(file, before_pixels=True)
    if "ContentSequence" not in dataset and "ConceptNameCodeSequence" not in dataset:
        raise Refusal("The instance has no content tree.")
    title = escape(_concept(dataset) or "Structured report")
    head = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        f"<style>{_STYLE}</style><h1>{title}</h1>{_facts(dataset)}"
    )
    body = "".join(_Tree().items(dataset, 0))
    return f"{head}{body}</html>\n".encode("utf-8", "replace")


def _facts(dataset: Dataset) -> str:
    facts = (
        ("Patient", dataset.get("PatientName")), ("Patient ID", dataset.get("PatientID")),
        ("Date", dataset.get("ContentDate")), ("Time", dataset.get("ContentTime")),
        ("Preliminary", dataset.get("PreliminaryFlag")),
        ("Completion", dataset.get("CompletionFlag")),
        ("Verification", dataset.get("VerificationFlag")),
    )  # fmt: skip
    lines = (
        f"<div><span class=c>{name}:</span> {_text(value)}</div>" for name, value in facts if value
    )
    return "".join(lines)


class _Tree:
    """Counts what it writes, so that a small file does not become a huge page."""

    def __init__(self) -> None:
        self._left = _MOST_ITEMS

    def items(self, parent: Dataset, depth: int) -> Iterator[str]:
        """Children of a content item as a list."""
        children = parent.get("ContentSequence") or ()
        if not children:
            return
        if depth > _DEEPEST:
            yield "<p>(deeper items are left out)</p>"
            return
        yield "<ul>"
        for child in children:
            self._left -= 1
            if self._left < 0:
                yield "<li>(further items are left out)</li>"
                break
            name = _concept(child)
            label = f"<span class=c>{escape(name)}:</span> " if name else ""
            yield f"<li>{label}{_value(child)}"
            yield from self.items(child, depth + 1)
            yield "</li>"
        yield "</ul>"


def _concept(item: Dataset) -> str:
    return _meaning(item.get("ConceptNameCodeSequence"))


def _meaning(codes: Any) -> str:
    if not codes:
        return ""
    return str(codes[0].get("CodeMeaning") or codes[0].get("CodeValue") or "")


def _text(value: Any) -> str:
    return escape(str(value))


def _value(item: Dataset) -> str:
    kind = str(item.get("ValueType") or "")
    if kind == "TEXT":
        return f"<p>{_text(item.get('TextValue') or '')}</p>"
    if kind == "CODE":
        return escape(_meaning(item.get("ConceptCodeSequence")))
    if kind == "NUM":
        return _measurement(item)
    if kind == "PNAME":
        return _text(item.get("PersonName") or "")
    if kind in _PLAIN:
        return _text(item.get(_PLAIN[kind]) or "")
    if kind in ("IMAGE", "COMPOSITE", "WAVEFORM"):
        return f"({kind.lower()}) {_referenced(item)}"
    if kind in ("SCOORD", "SCOORD3D", "TCOORD"):
        return f"({kind.lower()}) {_text(item.get('GraphicType') or '')}"
    return "" if kind in ("CONTAINER", "") else f"({escape(kind.lower())})"


_PLAIN: Final = {
    "DATE": "Date", "TIME": "Time", "DATETIME": "DateTime", "UIDREF": "UID",
}  # fmt: skip


def _measurement(item: Dataset) -> str:
    measured = item.get("MeasuredValueSequence") or ()
    if not measured:
        return escape(_meaning(item.get("NumericValueQualifierCodeSequence")) or "(no value)")
    unit = _meaning(measured[0].get("MeasurementUnitsCodeSequence"))
    return f"{_text(measured[0].get('NumericValue', ''))} {escape(unit)}".rstrip()


def _referenced(item: Dataset) -> str:
    found = item.get("ReferencedSOPSequence") or ()
    return _text(found[0].get("ReferencedSOPInstanceUID") or "") if found else ""

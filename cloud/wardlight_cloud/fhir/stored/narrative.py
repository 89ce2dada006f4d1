"""Whether the narrative of a resource is text to be read, and nothing that a page would run.

Pages of others show it as it is. Entities of HTML and a missing namespace, which many clients
write, do no harm and are taken.

In      a resource that has the shape of its type
Out     issues; none quotes the text

Source  R4 4.0.1 2.4.0 (Narrative), invariant txt-1; HTML 4.0 7-11, 15
"""

import re
from collections.abc import Iterator
from html.entities import html5
from typing import Any, Final
from xml.etree import ElementTree

from wardlight_cloud.fhir.stored.issue import Issue

_NAMESPACE: Final = "{http://www.w3.org/1999/xhtml}"
_ELEMENTS: Final = frozenset(
    {
        "a", "abbr", "acronym", "b", "big", "blockquote", "br", "caption", "cite", "code",
        "col", "colgroup", "dd", "dfn", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4",
        "h5", "h6", "hr", "i", "img", "li", "ol", "p", "pre", "q", "samp", "small", "span",
        "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "tt",
        "ul", "var", "u", "s", "ins", "del",
    }
)  # fmt: skip
_ATTRIBUTES: Final = frozenset(
    {
        "abbr", "accesskey", "align", "alt", "axis", "bgcolor", "border", "cellhalign",
        "cellpadding", "cellspacing", "cellvalign", "char", "charoff", "charset", "cite",
        "class", "colspan", "compact", "coords", "dir", "frame", "headers", "height",
        "href", "hreflang", "hspace", "id", "lang", "longdesc", "name", "nowrap", "rel",
        "rev", "rowspan", "rules", "scope", "shape", "span", "src", "start", "style",
        "summary", "tabindex", "title", "type", "valign", "value", "vspace", "width",
    }
)  # fmt: skip
_LINKS: Final = frozenset({"cite", "href", "longdesc", "src"})
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_SCHEMES: Final = frozenset({"http", "https", "mailto", "tel", "urn", "cid"})
_PICTURE: Final = re.compile(r"data:image/(png|jpeg|gif);base64,", re.IGNORECASE)
_INVISIBLE: Final = re.compile(r"[\x00-\x20\x7f-\x9f]+")
_STYLE: Final = re.compile(r"url\s*\(|expression\s*\(|@import|\\|/\*", re.IGNORECASE)
_ENTITY: Final = re.compile(r"&([A-Za-z][A-Za-z0-9]{0,30});")
_OF_XML: Final = frozenset({"amp", "lt", "gt", "quot", "apos"})
_DECLARATION: Final = re.compile(r"<(\?|!(?!--))")
_COMMENT: Final = re.compile(r"<!--(.*?)-->", re.DOTALL)


def issues_of_narrative(resource: dict[str, Any], kind: str) -> Iterator[Issue]:
    """Of the resource and of those that it contains."""
    yield from _of_text(resource.get("text"), f"{kind}.text.div")
    for at, each in enumerate(resource.get("contained", [])):
        if isinstance(each, dict):
            yield from _of_text(each.get("text"), f"{kind}.contained[{at}].text.div")


def _of_text(text: Any, place: str) -> Iterator[Issue]:
    div = text.get("div") if isinstance(text, dict) else None
    if not isinstance(div, str):
        return
    if _DECLARATION.search(div):
        yield Issue("structure", "The narrative has a declaration or an instruction.", place)
        return
    try:
        root = ElementTree.fromstring(_ENTITY.sub(_letter, div))  # noqa: S314 - declares no entity
    except ElementTree.ParseError:
        yield Issue("structure", "The narrative is no well-formed XHTML.", place)
        return
    # HTML may end a comment where XML does not. Each one that is begun ends: it was parsed.
    if any("<" in each or ">" in each for each in _COMMENT.findall(div)):
        yield Issue("structure", "The narrative has elements in a comment.", place)
        return
    if root.tag.removeprefix(_NAMESPACE) != "div":
        yield Issue("structure", "The narrative is not in a div.", place)
    elif not all(map(_is_harmless, root.iter())):
        said = "has only elements and attributes for formatting, links and images (txt-1)"
        yield Issue("invariant", f"A narrative {said}, and nothing that runs.", place)


def _letter(match: re.Match[str]) -> str:
    """An entity of HTML that XML does not know."""
    name = match[1]
    if name in _OF_XML:
        return match[0]
    return "".join(f"&#{ord(each)};" for each in html5.get(f"{name};", "")) or match[0]


def _is_harmless(element: ElementTree.Element) -> bool:
    if not isinstance(element.tag, str):  # a comment
        return True
    name = element.tag.removeprefix(_NAMESPACE)
    return name in _ELEMENTS and all(_is_plain(name, *each) for each in element.attrib.items())


def _is_plain(element: str, name: str, value: str) -> bool:
    name = name.rpartition("}")[2]  # xml:lang
    if name not in _ATTRIBUTES:
        return False
    if name == "style":
        return _STYLE.search(value) is None
    if name not in _LINKS:
        return True
    link = _INVISIBLE.sub("", value)  # browsers leave them out, too
    scheme = _SCHEME.match(link)
    if scheme is None or scheme[1].lower() in _SCHEMES:
        return True
    return element == "img" and _PICTURE.match(link) is not None

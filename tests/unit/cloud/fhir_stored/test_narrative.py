"""A narrative is text, which pages of others show as it is."""

from typing import Any

import pytest

from wardlight_cloud.fhir.stored.narrative import issues_of_narrative

NS = 'xmlns="http://www.w3.org/1999/xhtml"'


def _found(div: str) -> list[str]:
    resource: dict[str, Any] = {"text": {"status": "generated", "div": div}}
    return [each.code for each in issues_of_narrative(resource, "Patient")]


@pytest.mark.parametrize(
    "div",
    [
        f"<div {NS}>Anna &amp; Bert</div>", "<div/>",
        f"<div {NS}>5&nbsp;mg &ouml; &lt;script&gt;</div>",
        f'<div {NS} xml:lang="de" lang="de"><p class="x" style="color: red">a<br/>b</p></div>',
        f"<div {NS}>a<!-- comment --></div>",
        f'<div {NS}><table border="1"><tr><td colspan="2">72 /min</td></tr></table></div>',
        f'<div {NS}><a href="Patient/1">x</a><a href="#p">y</a><a href="urn:uuid:1">z</a></div>',
        f'<div {NS}><img src="https://x/y.png" alt=""/></div>',
        f'<div {NS}><img src="data:image/png;base64,AAAA" alt="ecg"/></div>',
    ],
)  # fmt: skip
def test_what_is_text(div: str) -> None:
    assert _found(div) == []


@pytest.mark.parametrize(
    "inner",
    [
        "<script>1</script>", "<SCRIPT>1</SCRIPT>", "<iframe src='x'/>", "<object/>", "<form/>",
        "<style>p {}</style>", "<link href='x'/>", "<svg onload='x'/>", "<p onclick='x'>a</p>",
        "<a href='javascript:x'>a</a>", "<a href=' java&#9;script:x'>a</a>",
        "<a href='&#106;avascript&colon;x'>a</a>", "<a href='JAVASCRIPT:x'>a</a>",
        "<a href='data:text/html,x'>a</a>", "<img src='data:text/html;base64,x' alt=''/>",
        "<img src='data:image/svg+xml;base64,x' alt=''/>", "<p style='background:url(x)'>a</p>",
        "<p style='width: expression(x)'>a</p>", "<p style='a:u\\72l(x)'>a</p>",
        "<x:script xmlns:x='http://www.w3.org/1999/xhtml'>1</x:script>",
        "<p xmlns='http://www.w3.org/2000/svg'>a</p>",
        "<a xlink:href='x' xmlns:xlink='y' onx='1'>a</a>",
    ],
)  # fmt: skip
def test_what_a_page_would_run(inner: str) -> None:
    assert _found(f"<div {NS}>{inner}</div>") == ["invariant"]


@pytest.mark.parametrize(
    "div",
    [
        "", "text", "<div", f"<p {NS}>a</p>", f"<div {NS}><p>a</div>", f"<div {NS}>&none;</div>",
        '<!DOCTYPE div [<!ENTITY a "aa">]><div>&a;</div>', "<?xml-stylesheet href='x'?><div/>",
        "<div><![CDATA[<script/>]]></div>", "<div><!--><script>1</script>--></div>",
        "<div><a href='&#1;javascript:x'>a</a></div>",
    ],
)  # fmt: skip
def test_what_is_no_narrative(div: str) -> None:
    assert _found(div) == ["structure"]


def test_what_is_contained_is_looked_at() -> None:
    text = {"status": "generated", "div": "<div><script/></div>"}
    resource = {"contained": [{"resourceType": "Patient", "text": text}]}
    (issue,) = issues_of_narrative(resource, "Task")
    assert issue.expression == "Task.contained[0].text.div"

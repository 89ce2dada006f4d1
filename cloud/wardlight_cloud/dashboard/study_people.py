"""Whether all objects of a study name the person that its heading names.

The index has one set of attributes for a study, those of the instance that says the most. An object
of somebody else that came under the same study is told of only here: who reads it sees a heading
of the first person.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final, Protocol

import orjson

from wardlight_cloud.imaging.owner import Said, is_another, said_of
from wardlight_cloud.store.imaging import ImageRow, InstanceRef

_AT_ONCE: Final = 100
_NAMED_MOST: Final = 5


class HeaderReads(Protocol):
    """What this asks of the index."""

    async def instances(
        self, study_uid: str, series_uid: str | None = None, sop_uid: str | None = None
    ) -> tuple[InstanceRef, ...]:
        """See ImageStore."""

    async def headers_of(self, sop_uids: Sequence[str]) -> tuple[tuple[InstanceRef, bytes], ...]:
        """See ImageStore."""


async def strangers(images: HeaderReads, row: ImageRow) -> str:
    """In words, which objects of a study are of another person than its heading; '' = none."""
    heading = said_of(orjson.loads(row.study))
    uids = [ref.sop_uid for ref in await images.instances(row.study_uid)]
    found: Counter[Said] = Counter()
    for start in range(0, len(uids), _AT_ONCE):
        headers = await images.headers_of(uids[start : start + _AT_ONCE])
        found.update(said_of(orjson.loads(header)) for _, header in headers)
    others = [(said, count) for said, count in found.most_common() if is_another(said, heading)]
    if not others:
        return ""
    named = [f"{count} of {len(uids)} say {_person(said)}" for said, count in others[:_NAMED_MOST]]
    more = "; and others" if len(others) > _NAMED_MOST else ""
    return (
        "Not all objects of this study name the patient of its heading: "
        f"{'; '.join(named)}{more}. Check of each one whose it is before you read it."
    )


def _person(said: Said) -> str:
    name = " = ".join(" ".join(group.split("^")).strip() for group in said.name.split("="))
    born = f"born {said.born}" if said.born else ""
    parts = (name or "no name", f"number {said.number or 'none'}", born, said.sex)
    return ", ".join(part for part in parts if part)

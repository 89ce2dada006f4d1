"""Forwarding by `wardlight-cloud dicom` to dcmtk's storescp and to another cloud's STOW-RS."""

import asyncio
from pathlib import Path
from typing import Any

import pydicom
import pytest

from support.api_process import serving
from support.dicom_files import bundled, dataset_of, image, octets_of
from support.dicom_process import LOOPBACK, store_scp
from support.postgres import FreshDatabase, TestServer
from support.store import SCHEMA
from support.waiting import wait_until
from wardlight_cloud.config import Settings
from wardlight_cloud.security.tokens import READ_ALL, STORE_IMAGES, new_token, token_hash
from wardlight_cloud.store.forwarding import DicomNode, ForwardRule, ForwardStatus, ForwardTarget
from wardlight_cloud.store.image_arrivals import Source
from wardlight_cloud.store.open import open_store
from wardlight_shared.errors import StorageError

pytestmark = pytest.mark.asyncio(loop_scope="module")

CT = dataset_of(bundled("CT_small.dcm"))


async def status_of(site: Any, rule: str) -> ForwardStatus:
    found = {each.rule.name: each for each in await site.stock.store.forward_status()}
    status: ForwardStatus = found[rule]
    return status


async def make_due(site: Any) -> None:
    """As if the pause after a failure were over."""
    async with site.stock.store._connections.acquire() as connection:
        await connection.execute("UPDATE forward_item SET next_at = now() WHERE attempts > 0")


async def reached(site: Any, rule: str, *, sent: int) -> ForwardStatus:
    async def is_reached() -> bool:
        status = await status_of(site, rule)
        return status.sent >= sent and not status.waiting

    await wait_until(is_reached, 60, f"{rule} has sent {sent}")
    return await status_of(site, rule)


async def is_on_record(site: Any, receiver: str) -> None:
    """Wait until it stands there that this one got the CT."""

    async def stands_there() -> bool:
        reads = await site.stock.store.image_reads(study_uid=str(CT.StudyInstanceUID))
        return any(each.reader.name == receiver for each in reads)

    await wait_until(stands_there, what="who got it is on record")


async def test_a_rule_sends_what_it_names(site: Any, tmp_path: Path) -> None:
    store = site.stock.store
    async with store_scp(tmp_path, "+xa", "+B", ae_title="ONLYCT") as port:
        await store.put_node(DicomNode("ONLYCT", LOOPBACK, port, rights=()))
        rule = ForwardRule("ct", "modality", "CT", ForwardTarget("ONLYCT"))
        await store.put_rule(rule, from_beginning=True)
        await reached(site, "ct", sent=1)
    (file,) = files_in(tmp_path)
    assert pydicom.dcmread(file) == CT
    await is_on_record(site, f"ONLYCT@{LOOPBACK}")
    with pytest.raises(StorageError, match="remove the rule first"):
        await store.remove_node("ONLYCT")
    assert await store.remove_rule("ct")
    assert await store.remove_node("ONLYCT")


async def test_from_now_on_means_what_comes(site: Any, tmp_path: Path) -> None:
    """What is older than the rule stays; what comes after it goes, by its source and by all."""
    store = site.stock.store
    (before,) = await store.instances(str(CT.StudyInstanceUID))
    async with store_scp(tmp_path, "+xa", ae_title="LATER") as port:
        await store.put_node(DicomNode("LATER", LOOPBACK, port, rights=()))
        later = ForwardTarget("LATER")
        await store.put_rule(ForwardRule("every", "all", "", later))
        await store.put_rule(ForwardRule("one", "source", "US-ROOM", later))
        from_room = Source("gateway", "gw-1", 1, 1, calling_ae="US-ROOM")
        await site.stock.add(octets_of(image(Modality="PX")), source=Source("stow"))
        await site.stock.add(octets_of(image(Modality="PX")), source=from_room)
        await reached(site, "every", sent=2)
        assert (await reached(site, "one", sent=1)).sent == 1
    sent = {dataset_uid(file) for file in files_in(tmp_path)}
    assert len(sent) == 2
    assert before.sop_uid not in sent
    for name in ("every", "one"):
        await store.remove_rule(name)


async def test_a_target_that_is_down_gets_it_later(site: Any, tmp_path: Path) -> None:
    store = site.stock.store
    await store.put_node(DicomNode("SLEEPY", LOOPBACK, 1, rights=()))
    rule = ForwardRule("sleepy", "modality", "CT", ForwardTarget("SLEEPY"))
    await store.put_rule(rule, from_beginning=True)

    async def has_failed() -> bool:
        return bool((await status_of(site, "sleepy")).reason)

    await wait_until(has_failed)
    failed = await status_of(site, "sleepy")
    assert (failed.waiting, failed.sent, failed.dead) == (1, 0, 0)
    assert failed.reason == "SLEEPY does not answer"
    async with store_scp(tmp_path, "+xa", ae_title="SLEEPY") as port:
        await store.put_node(DicomNode("SLEEPY", LOOPBACK, port, rights=()))
        await make_due(site)
        await reached(site, "sleepy", sent=1)
    await store.remove_rule("sleepy")


async def test_what_is_damaged_is_not_sent_until_it_is_whole(site: Any, tmp_path: Path) -> None:
    """Neither to who asks for it, nor by a rule, which tries again."""
    store = site.stock.store
    (ref,) = await store.instances(str(CT.StudyInstanceUID))
    await store.note_check(ref.sha256, "differs")
    above = {"StudyInstanceUID": ref.study_uid, "SeriesInstanceUID": ref.series_uid}
    pairs = {"QueryRetrieveLevel": "IMAGE", **above, "SOPInstanceUID": ref.sop_uid}
    asked = [part for name, value in pairs.items() for part in ("-k", f"{name}={value}")]
    found = await site.server.asked("findscu", "-v", "-S", *asked)
    assert "UNAVAILABLE" in found.text
    for above_it in ("STUDY", "SERIES"):
        keys_of = [f"QueryRetrieveLevel={above_it}", f"StudyInstanceUID={ref.study_uid}"]
        level = await site.server.asked(
            "findscu", "-v", "-S", *(part for each in keys_of for part in ("-k", each))
        )
        assert "CS [UNAVAILABLE ]" in level.text, level.text
    got = await site.server.asked("getscu", "-v", "-S", "-od", str(tmp_path), *asked)
    assert files_in(tmp_path) == [], got.text
    async with store_scp(tmp_path, "+xa", ae_title="WHOLE") as port:
        await store.put_node(DicomNode("WHOLE", LOOPBACK, port, rights=()))
        rule = ForwardRule("whole", "modality", "CT", ForwardTarget("WHOLE"))
        await store.put_rule(rule, from_beginning=True)

        async def has_failed() -> bool:
            return bool((await status_of(site, "whole")).reason)

        await wait_until(has_failed, 60)
        failed = await status_of(site, "whole")
        assert (failed.waiting, failed.sent, failed.dead) == (1, 0, 0)
        assert failed.reason == "a check found the stored object damaged or missing"
        assert files_in(tmp_path) == []
        await store.note_check(ref.sha256, None)
        await make_due(site)
        await reached(site, "whole", sent=1)
    assert len(files_in(tmp_path)) == 1
    await store.remove_rule("whole")


async def test_what_is_given_up_is_seen_and_tried_again(site: Any) -> None:
    store = site.stock.store
    rule = ForwardRule("lost", "modality", "CT", ForwardTarget("DOWN"))
    await store.put_rule(rule, from_beginning=True)

    async def given_up() -> bool:
        items = await store.take_items(count=1, lease_s=60)
        for item in items:
            await store.settle_failed([item.item_id], "gone", again_in_s=None)
        return (await status_of(site, "lost")).dead == 1

    await store.forward_new(studies=100)
    await wait_until(given_up, 60)
    (dead,) = await store.dead_items()
    assert (dead.rule, dead.sop_uid, dead.reason) == ("lost", CT.SOPInstanceUID, "gone")
    assert await store.retry_dead("lost") == 1
    assert (await status_of(site, "lost")).waiting == 1
    await store.remove_rule("lost")


async def test_stow_to_another_cloud(
    site: Any, postgres_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("other")
    fresh = FreshDatabase(postgres_server, [])
    dsn = await fresh(SCHEMA)
    other = await open_store(
        Settings.model_validate({"data_dir": folder, "database": {"dsn": dsn}})
    )
    token, token_file = new_token(), folder / "token"
    await other.put_client("pacs", token_hash(token), [READ_ALL, STORE_IMAGES])
    await asyncio.to_thread(token_file.write_text, token)
    await asyncio.to_thread(token_file.chmod, 0o600)
    async with serving(folder, dsn) as api:
        target = ForwardTarget(url=f"{api.url}/dicom-web", token_file=str(token_file))
        rule = ForwardRule("stow", "modality", "CT", target)
        await site.stock.store.put_rule(rule, from_beginning=True)
        await reached(site, "stow", sent=1)
        await is_on_record(site, f"STOW@{LOOPBACK}")
    assert await other.instance(str(CT.SOPInstanceUID)) is not None
    await other.close()
    await site.stock.store.remove_rule("stow")
    for name in fresh.names:
        await postgres_server.drop(name)


def dataset_uid(file: Path) -> str:
    return str(pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID)


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())

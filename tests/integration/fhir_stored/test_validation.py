"""The process that validates: refusals with their place, bounds, another one after its end."""

import asyncio
import json

import pytest

from support.stored_resources import organization, task
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.stored.validation import Validation

GOOD = json.dumps(organization()).encode()
BAD = json.dumps(task(status="done")).encode()


async def test_a_process_validates_and_is_replaced() -> None:
    async with Validation() as validation:
        await validation.check([], [])
        await validation.check([GOOD], [""])
        with pytest.raises(FhirError) as caught:
            await validation.check([GOOD, BAD], ["Bundle.entry[0].", "Bundle.entry[1]."])
        assert caught.value.status == 422
        (issue,) = caught.value.outcome()["issue"]
        assert issue["expression"] == ["Bundle.entry[1].Task.status"]
        process = validation._process
        assert process is not None
        process.kill()
        await process.wait()
        await validation.check([GOOD], [""])
        assert validation._process is not process
        waiting = asyncio.create_task(validation.check([GOOD] * 2000, [""] * 2000))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await validation.check([GOOD], [""])
    assert validation._process is None


async def test_what_takes_too_long_is_refused() -> None:
    async with Validation(validate_s=0.0) as validation:
        with pytest.raises(FhirError) as caught:
            await validation.check([GOOD], [""])
        assert (caught.value.status, caught.value.code) == (422, "too-costly")

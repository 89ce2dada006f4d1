"""A step that was overtaken is done again: no later commit need tell of it."""

from typing import Any

from wardlight_cloud.fhir.subscriptions.watching import Watcher
from wardlight_cloud.store.subscriptions import Progress


class _Store:
    """Commits in which nothing is found; the first progress is not kept."""

    def __init__(self) -> None:
        self.kept: list[bool] = []

    async def subscription_progress(self) -> Progress:
        done = 7 if True in self.kept else 0
        return Progress(done, done, None, len(self.kept), len(self.kept), 7)

    async def subscriptions(self, *_: Any) -> tuple[()]:
        return ()

    async def changed_resources(self, *_: Any, **__: Any) -> tuple[tuple[()], int]:
        return (), 7

    async def left_resources(self, *_: Any) -> dict[Any, Any]:
        return {}

    async def add_events(self, *_: Any) -> bool:
        self.kept.append(bool(self.kept))
        return self.kept[-1]


async def test_what_was_not_kept_is_looked_at_again() -> None:
    store = _Store()
    watcher = Watcher(store, days=7)  # type: ignore[arg-type]
    assert await watcher.step(), "it is to be done again"
    assert not await watcher.step()
    assert store.kept == [False, True]

"""What this slice was configured with at start.

Settings, the delivery planner, the malware scanner, the photo pool and a work folder.
"""

from dataclasses import dataclass
from pathlib import Path

from backend.cases.photos.pool import PhotoPool
from backend.cases.ports import DeliveryPlanner, MalwareScanner, NoScanner
from backend.cases.settings import CasesSettings
from kernel import clock

_LEFT_OVER_SECONDS = 3600


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """The collaborators of the slice in this process."""

    settings: CasesSettings
    planner: DeliveryPlanner
    scanner: MalwareScanner
    photos: PhotoPool
    work_folder: Path
    # Outside production a file that nobody scanned is taken; in production it is not.
    unchecked_files_allowed: bool


_runtime: Runtime | None = None


def configure(
    settings: CasesSettings,
    *,
    planner: DeliveryPlanner,
    work_folder: Path,
    production: bool,
    scanner: MalwareScanner | None = None,
) -> None:
    """Take the collaborators into use; called once by the wiring.

    `work_folder` holds uploads while they are checked.
    """
    global _runtime
    work_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_left_overs(work_folder)
    _runtime = Runtime(
        settings=settings,
        planner=planner,
        scanner=scanner or NoScanner(),
        photos=PhotoPool(workers=settings.photo_workers),
        work_folder=work_folder.absolute(),
        unchecked_files_allowed=not production,
    )


async def close() -> None:
    """End the children that check photos; called when the process stops."""
    if _runtime is not None:
        await _runtime.photos.close()


def get() -> Runtime:
    """The configured collaborators; using the slice before `configure` is a bug."""
    if _runtime is None:
        raise RuntimeError("backend.cases.runtime.configure() has not been called")
    return _runtime


def _remove_left_overs(work_folder: Path) -> None:
    """Files of requests that a crash ended. Younger ones may belong to another running process of this folder."""
    oldest = clock.now().timestamp() - _LEFT_OVER_SECONDS
    for path in work_folder.glob("upload-*"):
        if path.is_file() and path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)

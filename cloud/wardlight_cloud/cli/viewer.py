"""``wardlight-cloud viewer install``: the OHIF viewer by npm, verified, then served at /ohif."""

import argparse
from pathlib import Path
from typing import Any

from wardlight_cloud.config import Settings

_TEXT = "install the OHIF viewer, which /ohif then serves; or remove it"


def add_commands(commands: Any, config: argparse.ArgumentParser) -> None:
    """Add the parser of this command."""
    viewer = commands.add_parser("viewer", help="the OHIF viewer beside the built-in one")
    steps = viewer.add_subparsers(metavar="STEP", required=True)
    install = steps.add_parser("install", parents=[config], help=_TEXT, description=_TEXT)
    install.add_argument(
        "--from", dest="tarball", type=Path, metavar="TARBALL",
        help="a file made by `npm pack`, for machines without a way to a registry",
    )  # fmt: skip
    install.add_argument("--remove", action="store_true", help="remove what is installed")
    install.set_defaults(command=_viewer)


def _viewer(settings: Settings, options: argparse.Namespace) -> int:
    # Imported late: other commands need none of it.
    from wardlight_cloud.dashboard.ohif_install import VIEWERS, Installer
    from wardlight_cloud.dashboard.ohif_package import PACKAGE, VERSION, ViewerError

    installer = Installer(settings.data_dir / VIEWERS)
    if options.remove:
        if options.tarball is not None:
            raise ViewerError("Give --from or --remove, not both.")
        was_there = installer.remove()
        print("The OHIF viewer is removed." if was_there else "It was not installed.")
        return 0
    if options.tarball is None:
        print(f"Fetching {PACKAGE} {VERSION} with npm: 48 MiB ...", flush=True)
    folder = installer.install(options.tarball)
    print(f"Verified and installed in {folder}. It is at /ohif for those who are signed in,")
    print('and each study has a link "Open in OHIF".')
    return 0

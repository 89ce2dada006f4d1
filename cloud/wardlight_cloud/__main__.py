"""``python -m wardlight_cloud`` is ``wardlight-cloud``."""

import sys

from wardlight_cloud.cli import main

if __name__ == "__main__":
    sys.exit(main())

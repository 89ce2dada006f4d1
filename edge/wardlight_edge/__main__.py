"""``python -m wardlight_edge`` is ``wardlight-edge``."""

import sys

from wardlight_edge.cli import main

sys.exit(main())

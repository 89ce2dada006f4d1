"""``python -m wardlight_lab`` is ``wardlight``."""

import sys

from wardlight_lab.cli import main

sys.exit(main())

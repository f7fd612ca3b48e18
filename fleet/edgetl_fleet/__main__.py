"""``python -m edgetl_fleet``."""

import sys

from .cli import main

sys.exit(main())

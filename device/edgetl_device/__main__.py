"""``python -m edgetl_device``."""

from .cli import main

main()

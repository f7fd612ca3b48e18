"""``python -m edgetl``."""

from .cli import main

main()

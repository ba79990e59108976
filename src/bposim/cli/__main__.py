"""``python -m bposim.cli``."""

from bposim.cli import main

main()

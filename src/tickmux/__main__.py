"""`python -m tickmux` is the command `tickmux`."""

from tickmux.cli import main

main()

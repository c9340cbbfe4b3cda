"""`python -m deployments` is `c500`."""

from deployments.cli import main

main()

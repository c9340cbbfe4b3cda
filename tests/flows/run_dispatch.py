"""Answer a request in a process of its own: `python -m tests.flows.run_dispatch`; prints its result as JSON."""

import asyncio

from flows import dispatch_request
from tests.flows.dispatching import REQUEST, options


def main() -> None:
    """Answer the request."""
    print(asyncio.run(dispatch_request(REQUEST, options(deadline_s=120))).model_dump_json())


if __name__ == "__main__":
    main()

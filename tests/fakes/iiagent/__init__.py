"""A scripted II-Agent server of our own, over real sockets.

async with iiagent_server("happy") as fake:
    ...a client at fake.url, its socket at fake.url + "/ws"...
    assert fake.peak_agents == 1

Scenarios by name are in `scenarios.py`; a test may give steps of its own (`steps.py`). In a process of its own:
`python -m tests.fakes.iiagent --scenario happy`.
"""

from tests.fakes.iiagent.knobs import Knobs
from tests.fakes.iiagent.scenarios import SCENARIOS, Scenario
from tests.fakes.iiagent.serve import iiagent_server
from tests.fakes.iiagent.server import FakeServer

__all__ = ["SCENARIOS", "FakeServer", "Knobs", "Scenario", "iiagent_server"]

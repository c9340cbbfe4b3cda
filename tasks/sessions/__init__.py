"""Steps of flows that give tasks to II-Agent sessions: one, or a fleet of them."""

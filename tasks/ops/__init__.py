"""Steps of operations: maintenance, clean-up, migrations, runbooks, incidents, rollouts."""

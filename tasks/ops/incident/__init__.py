"""Incidents: alerts taken in, context gathered, a briefing, a timeline, questions, a postmortem."""

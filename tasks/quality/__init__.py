"""Quality of what the jobs made: results of a period, audits, reports."""

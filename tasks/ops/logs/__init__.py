"""Log analysis: templates mined from gigabytes in flat memory; what is new, what spikes, where errors burst."""

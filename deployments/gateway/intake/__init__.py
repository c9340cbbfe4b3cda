"""From a request to a job: fields and uploads read, room in the queue found, quotas kept, one run submitted."""

"""What the gateway answers to: one module for each path, with its list `handlers`."""

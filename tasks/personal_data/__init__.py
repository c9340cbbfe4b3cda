"""The data of one person or one job: found wherever C500 keeps it, exported, erased."""

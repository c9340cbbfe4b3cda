"""The red team: attacks kept as data in `cases/*.yaml`, each of which must end blocked or asked, and on record."""

"""The pandera models of the contracts. Importing one of these modules loads pandas and pandera."""

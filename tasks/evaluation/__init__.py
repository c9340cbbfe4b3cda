"""How good an output is, in figures: recordings and texts whose right answer people have written down."""

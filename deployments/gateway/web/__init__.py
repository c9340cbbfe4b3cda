"""HTTP beneath the routes: the wire, keys, errors, and the document that describes the API."""

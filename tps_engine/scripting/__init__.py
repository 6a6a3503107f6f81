"""Planning from Python: a few nouns that read naturally in a notebook. Start with `case.Case`."""

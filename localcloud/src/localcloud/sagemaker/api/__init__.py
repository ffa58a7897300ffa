"""What every operation shares: the wire format, the service model, the store, lists, tags and search."""

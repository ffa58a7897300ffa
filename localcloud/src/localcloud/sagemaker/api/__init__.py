"""What all operations share: the wire format, the service model, the store, lists, tags and search."""

"""How AWS is called: clients, settings, kinds of failure, and what the template made."""

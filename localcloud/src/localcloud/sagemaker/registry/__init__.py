"""Models, and the model packages that they are made of."""

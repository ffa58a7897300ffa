"""Makes a model live, proves that it serves, and restores what served before if it does not."""

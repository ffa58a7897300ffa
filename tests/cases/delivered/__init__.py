"""How cases are delivered: one module a delivery, whose ``check`` gives a case to Sluice and asserts what comes out."""

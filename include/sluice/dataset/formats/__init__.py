"""The formats of training channels, one module each."""

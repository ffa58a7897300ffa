"""The lake: its layout, partitions, manifests, and conditional puts."""

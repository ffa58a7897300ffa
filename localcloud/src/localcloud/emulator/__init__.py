"""The emulator, and its patches: each module says which behaviour of the service it restores, and where AWS says so.

ministack is pinned. The patches replace functions of its own modules, in its own process, for as long as it runs; they
write nothing into its installation. ``python -m localcloud.emulator`` starts it.
"""

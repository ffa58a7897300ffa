"""The emulator and its patches. Each module names the behaviour of AWS that it restores, and AWS's documentation of it.

ministack is pinned. The patches replace functions of its own modules, in its own process, while it runs; they write
nothing into its installation. ``python -m localcloud.emulator`` starts it.
"""

"""EventBridge Scheduler: schedules that fire within a second of their time, as any program calls their target.

Restores: a schedule fires at its times in its time zone, with the input that it has for its target. The released
emulator looks every ten seconds, ignores the time zone and context attributes, and forgets most properties of a
schedule in a template. ``occurrences`` tells when one is due, ``firing`` fires it, ``operations`` checks requests,
``stacks`` are the resources of templates.

Source: EventBridge Scheduler User Guide, "Schedule types", "Adding context attributes" and "Managing targets".
"""

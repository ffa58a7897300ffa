"""From sources into the lake's raw datasets: queues record by record, drops object by object."""

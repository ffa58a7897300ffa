"""Jobs of any kind: cores, a thread and a process for each, the container's folders, its log and its limits."""

"""Jobs of any kind: cores, a thread and a process each, the container's folders, its log and its bounds."""

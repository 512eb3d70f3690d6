"""Session logs: read, sorted into sessions, split, and generated."""

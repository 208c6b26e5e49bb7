"""Real PostgreSQL: its programs, clusters, backups, archives and restores; it never imports the sandbox."""

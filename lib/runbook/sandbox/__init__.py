"""The rehearsal world: a database to fill, to write to, to damage and to recover."""

"""What a run must pass before it goes on, a file for each kind of gate."""

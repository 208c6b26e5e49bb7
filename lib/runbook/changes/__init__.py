"""What runbooks change, a file for each kind of thing; `interface` says what a change is."""

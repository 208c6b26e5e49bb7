"""The emulators of the vendors, a folder each: `vendors/<vendor>/__init__.py` holds its `PART`."""

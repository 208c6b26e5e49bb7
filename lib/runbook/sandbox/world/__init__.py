"""The rehearsal world: one process that stands in for every vendor, on a clock of its own.

part.py       what a vendor's emulator is made of: Part, Route, Call, Answer
state.py      the documents a part keeps, on disk before a reply leaves
world.py      the parts, the clock and the faults together; no sockets
faults.py     what can go wrong on the wire, by name
server.py     HTTP in front of it; control.py its control API
launch.py     start, find and stop a world from outside
"""

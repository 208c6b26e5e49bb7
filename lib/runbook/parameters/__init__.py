"""A runbook's parameters: what its notebook declares, what files and the command line give.

A notebook declares them in its one cell tagged `parameters`, which is parsed and never executed:

    size_mb: int = 50  # MB; size of the seeded database; 10 to 2048

- the type is one of str, int, float, bool, date, datetime (both as text), None, Literal[...], list[...],
  dict[str, ...] and unions of them; the default is a literal and fits the type;
- the comment stands on the statement's last line (or its first). Semicolons part it into the unit, where the
  first part is one word; what the parameter is for; and, for numbers, an inclusive range `A to B`;
- besides such lines the cell may import from typing, datetime and __future__, and hold comments;
- a parameter never holds a secret: papermill writes it into the executed notebook.

papermill's own reader drops `float | None` and `Literal[...]`, checks no type, only warns of unknown names.
"""

from runbook.parameters.checking import check_parameters, load_parameters
from runbook.parameters.schema import HEAD, Parameter, Schema, describe, read_schema

__all__ = [
    "HEAD",
    "Parameter",
    "Schema",
    "check_parameters",
    "describe",
    "load_parameters",
    "read_schema",
]

"""Keeps secrets out of what leaves a process: outputs of cells, files, terminal streams."""

from runbook.masking.files import masked_file
from runbook.masking.kernel import guard_kernel
from runbook.masking.outputs import masked
from runbook.masking.streams import guard_streams

__all__ = ["guard_kernel", "guard_streams", "masked", "masked_file"]

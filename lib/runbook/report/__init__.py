"""From recorded files to pages a reviewer reads: report.html of a run, index.html of all of them."""

from runbook.report.index import write_index
from runbook.report.report import write_charts, write_report

__all__ = ["write_charts", "write_index", "write_report"]

"""The records of a run folder, drawn: `report.html`, the summary at the end of a run, and the progress display.

Everything shown is read from JSON; no number is measured here, and neither TensorFlow nor Keras is loaded. What is
drawn is computed first (history, comparison, findings, headline, details) and drawn elsewhere (svg, html, terminal).
"""

from tfday7.reporting.compression import compression_summary
from tfday7.reporting.compression_advice import compression_advice
from tfday7.reporting.description import description
from tfday7.reporting.distribution_advice import distribution_advice
from tfday7.reporting.exported import export_summary
from tfday7.reporting.fit_advice import fit_advice
from tfday7.reporting.fix import fix_summary
from tfday7.reporting.history_summary import history_summary
from tfday7.reporting.html import write_report
from tfday7.reporting.optimizer_advice import optimizer_advice
from tfday7.reporting.progress import TerminalProgress
from tfday7.reporting.search import search_summary
from tfday7.reporting.search_html import write_search_report
from tfday7.reporting.search_records import is_search
from tfday7.reporting.terminal import summary

__all__ = [
    "TerminalProgress",
    "compression_advice",
    "compression_summary",
    "description",
    "distribution_advice",
    "export_summary",
    "fit_advice",
    "fix_summary",
    "history_summary",
    "is_search",
    "optimizer_advice",
    "search_summary",
    "summary",
    "write_report",
    "write_search_report",
]

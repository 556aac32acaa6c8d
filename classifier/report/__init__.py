"""What an evaluation found, for people: a page with plots, and the files that Rasa users know."""

from classifier.report.page import html_report
from classifier.report.write import check_report_target, write_report

__all__ = ["check_report_target", "html_report", "write_report"]

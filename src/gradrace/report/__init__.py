"""Reports: the summary first (a plain dict, also the JSON), renderers after."""

from gradrace.report.summary import summarize

__all__ = ["summarize"]

"""Traces: every step of a text in a file of JSON lines, read back into the same records, and shown as a page."""

from coolfusion.traces.page import page_of, write_page
from coolfusion.traces.reader import Trace, parse_traces, read_trace, read_traces
from coolfusion.traces.writer import TraceWriter

__all__ = ["Trace", "TraceWriter", "page_of", "parse_traces", "read_trace", "read_traces", "write_page"]

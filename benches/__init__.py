"""Instruments: what is timed beside what, and the page that is made of it; ``python -m benches --help``.

Every operation is a module with a `check`, which compares answers and ends the run where they differ, and
`contestants`, which names the calls that are timed side by side. The first contestant is ours.
"""

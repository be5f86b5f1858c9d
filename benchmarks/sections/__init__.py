"""The sections of ``benchmarks/bench.py``: each measures, gives lines of Markdown, and says what targets it reached."""

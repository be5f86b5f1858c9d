"""The contestants of ``benchmarks/bench.py``, one file each."""

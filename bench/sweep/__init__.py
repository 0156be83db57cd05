"""The memory benchmark's parts; bench/bench_memory.py is the command."""

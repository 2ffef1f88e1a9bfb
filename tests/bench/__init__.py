"""The measurements behind the figures in README: `make bench`, or `python -m tests.bench --help`.

Each compares with something plain on the same machine in the same minutes, interleaved, and prints medians. Nothing
here asserts: figures depend on the machine, so a person reads them.
"""

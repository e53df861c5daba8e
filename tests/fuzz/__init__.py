"""Mutated and hostile files for the decoders: each ends as a picture or as a reason, within time and memory.

`target` runs them in a process with limits, `seeds` makes whole files, `mutate` breaks them, `hostile` holds the ones
made by hand. `python -m tests.fuzz --minutes 10` goes on for as long as is wished.
"""

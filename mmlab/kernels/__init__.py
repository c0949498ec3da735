"""Pure Numba functions on arrays and records: no clock, no random source, no I/O."""

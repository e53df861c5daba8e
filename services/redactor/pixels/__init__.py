"""Pixels in, painted pixels out: decode, paint, encode, and the processes in which that happens."""

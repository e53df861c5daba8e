"""One text finder for both directions, taught by the one that needs two passes."""

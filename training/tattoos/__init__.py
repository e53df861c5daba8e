"""A small finder of tattoos: the generator of its training pictures, its training, its measuring. See README.md."""

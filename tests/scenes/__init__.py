"""Pictures made by the project itself, from fixed seeds: tests and benchmarks know what stands where in them."""

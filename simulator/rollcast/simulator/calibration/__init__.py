"""Performance profiles from measurements: recorded requests, or the result files of serving benchmarks."""

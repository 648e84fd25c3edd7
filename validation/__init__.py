"""Long checks of the statistics and the simulator against theory and published results; writes docs/validation.md."""

"""Property tests that every project has: run by `rollcast policy test` beside the project's own."""

"""The parts of the end-to-end tests: languages and their builds, runners, vectors, servers, and the table."""

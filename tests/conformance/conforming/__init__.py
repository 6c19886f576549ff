"""The conformance suite: cases of the KServe v2 / Triton protocol, and the servers that they run against."""

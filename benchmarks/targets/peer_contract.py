"""What holds on both sides of a peer: in the benchmark, and in the code that runs inside the peer's processes."""

# Texts in a batch.
MAX_BATCH = 32
# Tensors' names.
TEXT_INPUT = "TEXT"
SCORES_OUTPUT = "SCORES"

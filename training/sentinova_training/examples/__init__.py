"""Small models that take and give plain tensors, exported from Paddle: what a server of such models is tried on."""

"""What is measured: Sentinova, its peers, and the model alone. A module knows how one of them is set up and asked."""

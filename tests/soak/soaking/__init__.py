"""What the soak is made of: load, versions, faults, and the judges of the answers."""

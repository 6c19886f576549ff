"""What is measured. Each module is one question, with one function `measure`; each knows the run and its results."""

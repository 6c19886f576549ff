"""What a run's results look like to people: tables, a Markdown report and plots. Each module knows results alone."""

"""The model repository on disk: folders, config files, which versions are served. Knows no model format."""

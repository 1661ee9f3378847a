"""Documents of earlier runs, kept to compare others against."""

"""The networks, their losses and their training: torch only, no scikit-learn."""

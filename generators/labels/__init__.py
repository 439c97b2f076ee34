"""What is known of a picture beside its colours; see `conventions` for what each label means."""

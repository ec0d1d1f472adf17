"""The matrix: what each repair alone, all but each, and all of them would have changed; and which few would do."""

"""The size study: which answers hold at every size of the model."""

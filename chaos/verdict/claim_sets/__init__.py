"""The claim sets, one package each."""

"""`aftershock results`: every generated page, by the existing commands, in order."""

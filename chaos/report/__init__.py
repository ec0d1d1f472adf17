"""What people read of a run: `verdict.json`, a table on the terminal, one self-contained page, two runs compared.

Everything here is computed from the record and its verdict; nothing asks a live service.
"""

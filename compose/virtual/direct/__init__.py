"""HTTP without bytes: requests are handed to the destination application as objects. Nothing else needs this folder."""

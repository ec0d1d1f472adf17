"""HTTP without bytes: requests reach the destination application as objects. No other package depends on this one."""

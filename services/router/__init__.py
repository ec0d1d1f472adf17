"""The regional front door of the identity service: balancing, health, failover, drain and rate-limited ramp."""

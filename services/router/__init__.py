"""The regional router in front of the identity service: balancing, health, failover, drain, rate-limited ramp."""

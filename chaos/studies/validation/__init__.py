"""`aftershock validate`: published results against small worlds of our services, load generator and policies."""

"""How the parts are put together: which instances exist, and three ways to run them."""

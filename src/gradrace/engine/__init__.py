"""Training blocks: the reference loop, the vectorized engine, and the lanes that run them."""

"""Personal data: what has its shape, what decides that it is, and what is put in its place."""

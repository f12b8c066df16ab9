"""The proxy port: a request comes in, is decided upon, and is answered."""

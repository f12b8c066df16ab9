"""HTTP/2 (RFC 9113) as bytes, without I/O: frames, and what a request in them means."""

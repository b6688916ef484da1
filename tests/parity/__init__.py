"""fmbench beside the programs that it follows, each in an environment of its own: `make parity`.

A variable names the Python of a peer's environment, such as FMBENCH_PEER_COLBERT=/opt/colbert/bin/python; where it is
not set, what needs the peer is skipped.
"""

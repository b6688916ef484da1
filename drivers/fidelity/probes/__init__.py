"""The built-in probes, one file each. A third party adds one through the entry-point group `fmbench.probes`."""

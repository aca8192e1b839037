"""Commands behind `make`: pairs, execution, site, addresses, flakiness. Not part of the package."""

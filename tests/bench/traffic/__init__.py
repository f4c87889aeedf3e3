"""What a measurement of a gateway needs: a provider, a load, the bare floor, and processes to run them in."""

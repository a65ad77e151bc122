"""Real servers on loopback addresses, and Verpost among them."""

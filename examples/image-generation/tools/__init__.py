"""What makes the artifacts of this example, and what is only needed around them."""

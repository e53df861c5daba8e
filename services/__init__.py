"""The five separately deployed services of Consilium; none imports another."""

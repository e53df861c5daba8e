"""How Consilium is deployed: as local processes (`local/`), in containers, or on Kubernetes."""

"""Names of the labels that well-known tools write, as YAML files."""

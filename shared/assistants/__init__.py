"""The files of an assistant that several services read: YAML with its lines, the expression language, connectors, rules."""

"""The files of an assistant that several services read: YAML with its lines, expressions, connectors, rules, bundle."""

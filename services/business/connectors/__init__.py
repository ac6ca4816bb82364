"""Systems of the company as an assistant's `connectors/*.yml` describe them, and calls to them."""

"""What a kind of model brings to learning: how its data is prepared, and a model fitted, exported and measured."""

"""Ways to run a transformers model, one class each; `registry.STRATEGIES` lists them in the order of preference."""

"""The runner of transformers causal models: `model.HuggingFaceModel`, its strategies, and loading from files."""

"""One member of a fusion: a model with its tokenizer, its commands, and the worker that executes them."""

"""Adapters: any tokenizer object, file, folder or hub name becomes a `coolfusion.Tokenizer`.

`wrap` takes objects, `pretrained` folders and hub names. The core calls both; nothing here computes ids or text.
"""

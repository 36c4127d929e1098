"""The evaluation of pools: likelihoods of texts, tasks with published metrics, and statistics."""

from coolfusion.evaluation.likelihood import TextLikelihood, bits_per_byte, score_texts

__all__ = ["TextLikelihood", "bits_per_byte", "score_texts"]

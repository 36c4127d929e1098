"""Draws specs of selection rules, in the form that `spec_of` gives."""

from __future__ import annotations

from hypothesis import strategies as st

NAMES = ("ann", "bob", "cid")
EXPONENTS = st.one_of(st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0, 16.0, "inf", "-inf"]), st.floats(-20.0, 20.0))
KAPPAS = st.floats(0.0, 30.0)


def weights(names=NAMES):
    """Specs of weights."""
    return st.one_of(
        st.just({"kind": "uniform"}),
        st.builds(lambda kappa: {"kind": "evidence", "kappa": kappa}, KAPPAS),
        st.builds(lambda kappa, decay: {"kind": "recent", "kappa": kappa, "decay": decay}, KAPPAS, st.floats(0.1, 0.9)),
        st.dictionaries(st.sampled_from(names), st.floats(0.1, 5.0), min_size=1).map(
            lambda found: {"kind": "fixed", "by_name": found}
        ),
    )


def row_rules():
    """Specs of rules over the scores of one candidate."""
    names = ("arithmetic_mean_perplexity", "geometric_mean_perplexity", "total_negative_logprob")
    return st.sampled_from(names).map(lambda name: {"kind": name})


def power_means(names=NAMES, alternatives=(0, 1)):
    """Specs of power means."""
    return st.fixed_dictionaries(
        {
            "kind": st.just("power_mean"),
            "exponent": EXPONENTS,
            "weights": weights(names),
            "per": st.sampled_from(["segment", "token", "byte"]),
            "boundary_mass": st.booleans(),
            "alternatives": st.sampled_from(alternatives),
            "unsure_below": st.sampled_from([0.0, 0.15, 0.5, 2.0]),
        },
        optional={"name": st.just("mine")},
    )


def specs(names=NAMES, alternatives=(0, 1)):
    """Specs of any rule, up to two wrappers deep."""
    plain = st.one_of(power_means(names, alternatives), row_rules())
    margins = st.one_of(st.just("inf"), st.floats(0.0, 5.0))
    members = st.sampled_from([None, *names])

    def wrapped(inner):
        return st.one_of(
            st.builds(
                lambda rule, margin, member: {"kind": "primary", "rule": rule, "margin": margin, "member": member},
                inner,
                margins,
                members,
            ),
            st.builds(
                lambda rule, tolerance: {"kind": "without_outliers", "rule": rule, "tolerance": tolerance},
                inner,
                margins,
            ),
        )

    return st.recursive(plain, wrapped, max_leaves=2)

"""What a count of errors says of the rate behind it."""

from __future__ import annotations


def binomial_upper_bound(wrong: int, answered: int, confidence: float = 0.95) -> float:
    """The error rate that `wrong` errors in `answered` answers rule out going above.

    The one-sided exact bound of Clopper and Pearson 1934, "The Use of Confidence or Fiducial
    Limits Illustrated in the Case of the Binomial": with at least the chance `confidence`, the
    true rate is not above it, whatever that rate is. It holds for answers that were not chosen by
    their outcome. Without answers nothing is known: 1.0.

    Raises ValueError where `wrong` is not between 0 and `answered`, or `confidence` not between
    0 and 1.
    """
    if not 0 <= wrong <= answered:
        raise ValueError(f"{wrong} wrong of {answered} answers")
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence of {confidence} is not between 0 and 1")
    if wrong == answered:
        return 1.0
    # A quantile of the beta distribution; scipy.stats would take a second to import.
    from scipy.special import betaincinv

    return float(betaincinv(wrong + 1, answered - wrong, confidence))


def chance_of_at_least(count: int, trials: int, share: float) -> float:
    """The exact binomial tail: the chance of `count` or more in `trials`, each of that `share`."""
    if count <= 0:
        return 1.0
    from scipy.special import bdtrc

    return float(bdtrc(count - 1, trials, share))

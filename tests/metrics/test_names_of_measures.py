"""Names of measures: those of others are told the right one."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from skmcdropout import predict_uncertainty
from skmcdropout.uncertainty import MEASURES, REGRESSION_MEASURES

X = np.arange(4.0)[:, None]
CLASSIFIER = LogisticRegression().fit(X, [0, 0, 1, 1])
REGRESSOR = Ridge().fit(X, X[:, 0])  # names are read before it is looked into


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("total", "predictive_entropy"),
        ("aleatoric", "expected_entropy"),
        ("Epistemic", "mutual_information"),
        ("bald", "mutual_information"),
        ("predictive_str", "predictive_std"),
        ("variation ratio", "variation_ratio"),
    ],
)
def test_a_measure_by_another_name_is_told_its_name(asked, meant):
    with pytest.raises(ValueError, match=f"Got '{asked}' instead. Did you mean") as e:
        predict_uncertainty(CLASSIFIER, X, ["predictive_entropy", asked])
    assert str(e.value).endswith(f"Did you mean {meant!r}?")


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("total", "total_std"),
        ("Aleatoric", "aleatoric_std"),
        ("epistemic", "epistemic_std"),
        ("std", "total_std"),
        ("predictive_std", "total_std"),
        ("aleatoric std", "aleatoric_std"),
    ],
)
def test_a_measure_of_numbers_by_another_name_is_told_its_name(asked, meant):
    with pytest.raises(ValueError, match=r"one of \['aleatoric_std', 'epi") as e:
        predict_uncertainty(REGRESSOR, X, ["total_std", asked])
    assert str(e.value).endswith(f"Did you mean {meant!r}?")


def test_measures_of_classes_are_none_of_numbers():
    for name in MEASURES:
        message = rf"one of \['aleatoric_std', .*Got '{name}' instead"
        with pytest.raises(ValueError, match=message):
            predict_uncertainty(REGRESSOR, X, name)
    for name in REGRESSION_MEASURES:
        message = rf"one of \['expected_entropy', .*Got '{name}' instead"
        with pytest.raises(ValueError, match=message):
            predict_uncertainty(CLASSIFIER, X, name)


@pytest.mark.parametrize("estimator", [CLASSIFIER, REGRESSOR], ids=repr)
def test_no_measure_at_all_is_refused(estimator):
    with pytest.raises(ValueError, match=r"at least one measure\. Got none"):
        predict_uncertainty(estimator, X, [])


def test_a_measure_that_resembles_none_gets_no_hint():
    with pytest.raises(ValueError, match=r"Got 'zzz' instead\.$"):
        predict_uncertainty(CLASSIFIER, X, "zzz")

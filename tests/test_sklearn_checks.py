"""scikit-learn's own checks, with nothing excused."""

import pytest
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from skmcdropout import MCDropoutClassifier

ESTIMATORS = [
    MCDropoutClassifier(dropout_position="all"),
    MCDropoutClassifier(batch_normalization=True),
    MCDropoutClassifier(n_samples=0),
    MCDropoutClassifier(sampling="independent"),
    MCDropoutClassifier((30, 20), early_stopping=True),
]


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_check_estimator_skips_nothing_but_the_array_api():
    results = check_estimator(MCDropoutClassifier())
    skipped = {r["check_name"] for r in results if r["status"] != "passed"}
    assert skipped <= {"check_array_api_input"}
    assert len(results) > 50


def test_no_tag_excuses_anything():
    tags = get_tags(MCDropoutClassifier())
    assert not tags.non_deterministic
    assert not tags.classifier_tags.poor_score
    assert not tags.no_validation
    assert not tags._skip_test

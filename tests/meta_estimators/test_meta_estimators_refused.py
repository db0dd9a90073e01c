"""What has no uncertainty is refused."""

import numpy as np
import pytest
from nested import (
    CODES,
    X_REG,
    Y_REG,
    X,
    Y,
    members,
    network,
    piped,
    regressor,
)
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    VotingClassifier,
    VotingRegressor,
)
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputClassifier
from sklearn.preprocessing import (
    StandardScaler,
)
from sklearn.svm import LinearSVC

from skmcdropout import (
    predict_uncertainty,
    sample_predictions,
    sample_proba,
)


def hard(kinds):
    return VotingClassifier(kinds, voting="hard").fit(X, Y)


def of_targets(**how):
    return TransformedTargetRegressor(regressor(epochs=1), **how).fit(X_REG, Y_REG)


REFUSED = {
    "other measures": (
        lambda: predict_uncertainty(
            LogisticRegression().fit(X, Y), X, "mutual_information"
        ),
        ValueError,
        r"measure must be one of \['predictive_entropy', 'least_confidence'\] for a "
        r"classifier without.*Got 'mutual_information' for LogisticRegression\(\)",
    ),
    "draws of others": (
        lambda: sample_proba(LogisticRegression().fit(X, Y), X),
        TypeError,
        r"estimator must be an MCDropoutClassifier.*Got LogisticRegression\(\)",
    ),
    "no probabilities": (
        lambda: predict_uncertainty(LinearSVC().fit(X, Y), X),
        TypeError,
        r"must be a classifier with predict_proba.*Got LinearSVC\(\)",
    ),
    "no estimator of labels": (
        lambda: predict_uncertainty(StandardScaler().fit(X), X),
        TypeError,
        r"must be a classifier with predict_proba.*Got StandardScaler\(\)",
    ),
    "no estimator": (
        lambda: predict_uncertainty("network", X),
        TypeError,
        "network is not an estimator instance",
    ),
    "several labels a row": (
        lambda: predict_uncertainty(
            MultiOutputClassifier(LogisticRegression()).fit(
                X, np.column_stack([CODES, CODES])
            ),
            X,
        ),
        TypeError,
        "must be a classifier of one label a row",
    ),
    "hard voting": (
        lambda: predict_uncertainty(hard(members(network, epochs=1)), X),
        ValueError,
        r"voting must be 'soft'.*Got 'hard'",
    ),
    "hard voting of others": (
        lambda: predict_uncertainty(hard([("a", LogisticRegression())]), X),
        TypeError,
        r"must be a classifier with predict_proba.*Got VotingClassifier",
    ),
    "negative weights": (
        lambda: predict_uncertainty(
            VotingClassifier(
                members(network, epochs=1), voting="soft", weights=[2, -1]
            ).fit(X, Y),
            X,
        ),
        ValueError,
        r"weights must be at least 0. Got \[2, -1\]",
    ),
    "not fitted": (
        lambda: predict_uncertainty(piped(network()), X),
        NotFittedError,
        "is not fitted yet",
    ),
    "a measure that does not exist": (
        lambda: predict_uncertainty(piped(network(epochs=1)).fit(X, Y), X, "entropy"),
        ValueError,
        r"measure must be one of \['expected_entropy'.*Got 'entropy'",
    ),
    "a measure of labels": (
        lambda: predict_uncertainty(of_targets(), X_REG, "predictive_entropy"),
        ValueError,
        r"measure must be one of \['aleatoric_std'.*Got 'predictive_entropy'",
    ),
    "values as classes": (
        lambda: sample_proba(of_targets(), X_REG),
        TypeError,
        "must be an MCDropoutClassifier, or hold one",
    ),
    "classes as values": (
        lambda: sample_predictions(network(epochs=1).fit(X, Y), X),
        TypeError,
        r"must be an MCDropoutRegressor, or hold one.*Got MCDropoutClassifier",
    ),
    "values of others": (
        lambda: predict_uncertainty(Ridge().fit(X_REG, Y_REG), X_REG),
        TypeError,
        r"must be an MCDropoutRegressor.*Got Ridge\(\)",
    ),
    "values of others in an ensemble": (
        lambda: predict_uncertainty(
            VotingRegressor([("a", regressor(epochs=1)), ("b", Ridge())]).fit(
                X_REG, Y_REG
            ),
            X_REG,
        ),
        TypeError,
        r"hold nothing but such ones. Got Ridge\(\) in VotingRegressor",
    ),
    "targets that are mixed": (
        lambda: predict_uncertainty(
            TransformedTargetRegressor(
                regressor(epochs=1), transformer=PCA(), check_inverse=False
            ).fit(X_REG, np.stack([Y_REG, X_REG[:, 0]], axis=1)),
            X_REG,
        ),
        ValueError,
        r"transformer must change each target by itself.*Got one that mixes.*PCA\(\)",
    ),
    "targets that turn": (
        lambda: sample_predictions(
            of_targets(func=lambda y: y, inverse_func=np.cos, check_inverse=False),
            X_REG,
        ),
        ValueError,
        "transformer must",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_uncertainty_is_refused_in_words(name):
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call()

"""
A table from start to end
=========================

Most tables hold numbers beside categories, and gaps. Here such a frame goes all the
way: columns are prepared, a small search chooses the dropout rate, the probabilities
are checked, the uncertainty is looked at, and the rows that the network is unsure of
are left to a person. The frame is of made-up loans, so that nothing is downloaded.
Needs ``pip install pandas``.
Saves ``tutorial_mixed_frame.png``.
"""

# %%
# The frame
# ---------
# Four numbers, of which income is often missing and savings are skewed, and two
# categories, one of them with a rare value. Whether a loan is repaid depends on them,
# and on chance.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from skmcdropout import (
    MCDropoutClassifier,
    RejectingClassifier,
    predict_uncertainty,
)
from skmcdropout.metrics import error_detection_auroc, top_label_calibration_error
from skmcdropout.plotting import RiskCoverageDisplay


def make_loans(n_rows, seed):
    """Applications, and whether each loan was repaid."""
    rng = np.random.RandomState(seed)
    frame = pd.DataFrame(
        {
            "age": rng.randint(18, 80, n_rows).astype(float),
            "income": rng.gamma(4, 800, n_rows),
            "savings": rng.lognormal(7, 2, n_rows),
            "amount": rng.gamma(3, 3000, n_rows),
            "housing": rng.choice(["rent", "own", "family"], n_rows, p=[0.5, 0.4, 0.1]),
            "purpose": rng.choice(
                ["car", "education", "kitchen", "boat"],
                n_rows,
                p=[0.5, 0.3, 0.18, 0.02],
            ),
        }
    )
    burden = frame["amount"] / (frame["income"] * 4)
    score = (
        2.5
        - 2.5 * burden
        + 0.5 * np.log10(frame["savings"])
        + 1.2 * (frame["housing"] == "own")
        - 1.5 * ((frame["age"] < 30) & (frame["purpose"] == "car"))
    )
    repaid = np.where(rng.uniform(size=n_rows) < expit(2 * (score - 2.5)), "yes", "no")
    frame.loc[rng.uniform(size=n_rows) < 0.15, "income"] = np.nan
    frame.loc[rng.uniform(size=n_rows) < 0.05, "housing"] = None
    return frame, repaid


X, y = make_loans(3000, seed=0)
X, X_test, y, y_test = train_test_split(
    X, y, train_size=1000, stratify=y, random_state=0
)
print(X.head(4).to_string(float_format="{:.0f}".format))
print(f"\n{len(X)} rows to train on, {(y == 'yes').mean():.0%} repaid")

# %%
# What a network needs
# --------------------
# Numbers of about the same size, and no gaps. The median fills a gap, and a column of
# its own says that there was one; savings are brought to a logarithm first, or a few
# large ones would be all that counts. A category becomes one column a value, a missing
# one too. All of it is learned from the training part of each fold, since it is in the
# pipeline.
number = make_pipeline(
    SimpleImputer(strategy="median", add_indicator=True), StandardScaler()
)
skewed = make_pipeline(
    FunctionTransformer(np.log1p, feature_names_out="one-to-one"), StandardScaler()
)
category = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=10)
columns = ColumnTransformer(
    [
        ("number", number, ["age", "income", "amount"]),
        ("skewed", skewed, ["savings"]),
        ("category", category, ["housing", "purpose"]),
    ],
    sparse_threshold=0,  # the network takes dense rows
)
pipe = make_pipeline(columns, MCDropoutClassifier(random_state=0))

# %%
# A search over the pipeline
# --------------------------
# By log-loss, which judges the probabilities. For small noisy tables larger rates than
# the default are often better. The temperature does not change which rate is best by
# much, and without it a fit takes a quarter of the time.
rates = [0.1, 0.25, 0.5]
search = GridSearchCV(
    pipe,
    {
        "mcdropoutclassifier__dropout_rate": rates,
        "mcdropoutclassifier__temperature": [1.0],
    },
    scoring="neg_log_loss",
    cv=3,
    refit=False,
).fit(X, y)
for rate, loss in zip(rates, search.cv_results_["mean_test_score"], strict=True):
    print(f"rate {rate:<5} log-loss {-loss:.3f}")
rate = search.best_params_["mcdropoutclassifier__dropout_rate"]
pipe = pipe.set_params(mcdropoutclassifier__dropout_rate=rate).fit(X, y)

# %%
# Do the probabilities keep their word?
# -------------------------------------
# Log-loss and calibration error on rows that played no part in anything above, beside
# those of the ordinary prediction of the same network.
classifier = pipe[-1]
for name, n_samples in [("100 draws", 100), ("ordinary prediction", 0)]:
    classifier.set_params(n_samples=n_samples)
    proba = pipe.predict_proba(X_test)
    print(
        f"{name:<20} log-loss {log_loss(y_test, proba):.3f}, calibration error "
        f"{top_label_calibration_error(y_test, proba, labels=pipe.classes_):.3f}"
    )
classifier.set_params(n_samples=100)
proba = pipe.predict_proba(X_test)

# %%
# Where is it unsure, and why?
# ----------------------------
# `predict_uncertainty` finds the network in the pipeline. What only the model does not
# know (mutual information) is larger where it has seen little: boats are rare.
names = ["predictive_entropy", "mutual_information"]
unsure = pd.DataFrame(
    predict_uncertainty(pipe, X_test, names), columns=names, index=X_test.index
)
by_purpose = unsure.groupby(X_test["purpose"]).mean()
by_purpose["rows in training"] = X["purpose"].value_counts()
print(by_purpose.round(4).to_string())
auroc = error_detection_auroc(
    y_test, pipe.predict(X_test), unsure["predictive_entropy"]
)
print(f"\nan error is less certain than a right answer with probability {auroc:.2f}")

# %%
# Leaving rows to a person
# ------------------------
# `RejectingClassifier` goes over the whole pipeline and finds the threshold by
# cross-validation: the surest 70 % are decided, the others get "ask". The share on new
# rows is about that, for the final network has seen more rows than those of the folds,
# and is a little surer.
rejecting = RejectingClassifier(pipe, coverage=0.7, reject_label="ask").fit(X, y)
labels = rejecting.predict(X_test)
decided = labels != "ask"
print(f"decided {decided.mean():.0%}, expected {rejecting.coverage_:.0%}")
print(f"wrong among them {(labels[decided] != y_test[decided]).mean():.1%}")
print(f"wrong among all  {(pipe.predict(X_test) != y_test).mean():.1%}")

# %%
# Left: what was promised and what was found, in ten groups of equal size. Middle: the
# share of errors among the rows that are decided, for every threshold. Right: what the
# draws disagree about, by how common the purpose is in training.
figure, (left, middle, right) = plt.subplots(
    1, 3, figsize=(12, 4), layout="constrained"
)
repaid = proba[:, list(pipe.classes_).index("yes")]
groups = np.array_split(np.argsort(repaid), 10)
left.plot([0, 1], [0, 1], ":", color="black", label="as promised")
left.plot(
    [repaid[group].mean() for group in groups],
    [(y_test[group] == "yes").mean() for group in groups],
    "o-",
    label="found",
)
left.set(xlabel="predicted probability", ylabel="share repaid", title="Calibration")
left.legend()
RiskCoverageDisplay.from_estimator(pipe, X_test, y_test, ax=middle)
middle.axvline(decided.mean(), color="grey", linewidth=1)
middle.legend(loc="upper left", bbox_to_anchor=(0, 0.94))
middle.set_title("Errors among the rows that are decided")
purposes = by_purpose.sort_values("rows in training", ascending=False)
right.bar(purposes.index, purposes["mutual_information"])
right.set(ylabel="mean mutual information (nats)", title="What the model does not know")
for i, n_rows in enumerate(purposes["rows in training"]):
    value = purposes["mutual_information"].iloc[i]
    right.annotate(f"{n_rows:.0f} rows", (i, value), ha="center", va="bottom")
right.margins(y=0.1)
figure.savefig("tutorial_mixed_frame.png", dpi=120)
print("\nfigure saved: tutorial_mixed_frame.png")

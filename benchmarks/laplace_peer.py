"""A Laplace approximation of PyTorch's network, for `alternatives.py`.

It has a module and a process of its own: PyTorch and TensorFlow do not always go into
one. Both functions return what is predicted, and seconds of one core of the fit and of
the predictions.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np


def network(X: Any, y: Any, n_outputs: int, loss: Any, seed: int) -> tuple[Any, Any]:
    """Two layers of 128 units, trained for 100 epochs of Adam, and its batches."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    layers = nn.Sequential(
        nn.Linear(X.shape[1], 128),
        nn.ReLU(),
        nn.Linear(128, 128),
        nn.ReLU(),
        nn.Linear(128, n_outputs),
    )
    rows = TensorDataset(torch.tensor(X, dtype=torch.float32), y)
    batches = DataLoader(rows, batch_size=64, shuffle=True)
    adam = torch.optim.Adam(layers.parameters(), 1e-3, weight_decay=1 / len(X))
    for _ in range(100):
        for rows_, target in batches:
            adam.zero_grad()
            loss(layers(rows_), target).backward()
            adam.step()
    return layers.eval(), batches


def probabilities(X: Any, y: Any, X_test: Any, seed: int) -> tuple[Any, float, float]:
    """Of the classes 0, 1, ...; the prior is found by the marginal likelihood."""
    import torch
    from laplace import Laplace

    start = time.process_time()
    loss, target = torch.nn.CrossEntropyLoss(), torch.tensor(y)
    layers, batches = network(X, target, int(y.max()) + 1, loss, seed)
    laplace = Laplace(layers, "classification")
    laplace.fit(batches)
    laplace.optimize_prior_precision()
    fitted = time.process_time()
    proba = laplace(torch.tensor(X_test, dtype=torch.float32)).detach().numpy()
    return proba, fitted - start, time.process_time() - fitted


def normals(X: Any, y: Any, X_test: Any, seed: int) -> tuple[Any, Any, float, float]:
    """Means and standard deviations; prior and noise by the marginal likelihood."""
    import torch
    from laplace import Laplace

    start = time.process_time()
    center, scale = y.mean(), y.std()
    target = torch.tensor((y - center) / scale, dtype=torch.float32)[:, None]
    layers, batches = network(X, target, 1, torch.nn.MSELoss(), seed)
    laplace = Laplace(layers, "regression")
    laplace.fit(batches)
    prior, noise = (torch.zeros(1, requires_grad=True) for _ in range(2))  # logarithms
    adam = torch.optim.Adam([prior, noise], lr=0.1)
    for _ in range(100):
        adam.zero_grad()
        (-laplace.log_marginal_likelihood(prior.exp(), noise.exp())).backward()
        adam.step()
    fitted = time.process_time()
    mean, variance = laplace(torch.tensor(X_test, dtype=torch.float32))
    mean = mean.detach().numpy().reshape(-1) * scale + center
    variance = variance.detach().numpy().reshape(-1) + float(noise.exp().detach()) ** 2
    std = np.sqrt(variance) * scale
    return mean, std, fitted - start, time.process_time() - fitted

"""Hybrid: the loop is Python; the loss is a static program, forward and backward."""

import diptych as dt
from diptych import nn
from diptych.bench.data import digits
from diptych.data import DataLoader

data = digits()
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer = dt.optim.Adam(model.parameters(), lr=0.01)


@dt.compile
def loss_of(x, y):
    return dt.cross_entropy(model(x), y)


for epoch in range(3):
    for x, y in DataLoader(data.train_x, data.train_y, batch_size=64, shuffle=True):
        loss = loss_of(x, y)
        optimizer.minimize(loss)  # or zero_grad(), loss.backward(), step()
    print(epoch, loss.item())

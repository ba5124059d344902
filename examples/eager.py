"""Define-by-run: the loop is Python, and so is everything in it."""

import diptych as dt
from diptych import nn
from diptych.bench.data import digits
from diptych.data import DataLoader

data = digits()
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer = dt.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(3):
    for x, y in DataLoader(data.train_x, data.train_y, batch_size=64, shuffle=True):
        optimizer.zero_grad()
        loss = dt.cross_entropy(model(dt.from_numpy(x)), y)
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())

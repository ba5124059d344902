"""Define-then-run: the step is built once as a graph, compiled, and run."""

import diptych as dt
from diptych import nn
from diptych.bench.data import digits
from diptych.data import DataLoader

data = digits()
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer = dt.optim.Adam(model.parameters(), lr=0.01)
with dt.static.Graph() as g:
    x, y = g.placeholder("x", ("batch", 64)), g.placeholder("y", ("batch",), "int64")
    loss = dt.cross_entropy(model(x), y)
    step = optimizer.minimize(loss)
program = g.compile(fetches=[loss, step])
for epoch in range(3):
    for images, labels in DataLoader(data.train_x, data.train_y, batch_size=64, shuffle=True):
        value, _ = program.run({"x": images, "y": labels})
    print(epoch, value)

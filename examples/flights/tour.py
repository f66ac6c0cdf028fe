# %% [markdown]
# # A tour of the loop
#
# From a table of flights to a champion, one window of monitoring run by Prefect, and a look back at both.
# The question: will a flight out of New York land 15 or more minutes late?
#
# Everything lies in a state folder of its own, apart from what `make run` keeps.

# %%
import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("INCUMBENT_STATE__FOLDER", str(Path(".incumbent/tour").resolve()))
here = next(folder for folder in (Path("examples/flights"), Path()) if (folder / "model.py").exists())

# %% [markdown]
# MLflow, Prefect and a worker. `incumbent up` in a terminal does the same; here the notebook owns them.

# %%
up = subprocess.Popen([sys.executable, "-m", "incumbent.command", "up"], stdout=subprocess.PIPE, text=True)
for line in up.stdout:
    print(line, end="")
    if line.startswith("Ctrl-C"):
        break

# %% [markdown]
# The model file holds everything that is special about this model: where its data comes from and when it was known,
# the features, the label, the gates and the policy.

# %%
from incumbent import load_model

late_flights = load_model(here)

# %% [markdown]
# What was known on 8 February: five weeks of flights. A bad row goes to quarantine, the rest into the lake.

# %%
late_flights.ingest("2013-02-08T00:00Z")

# %% [markdown]
# All history and a recent window are fitted on the older rows and judged on the newer ones. The best one is registered;
# with no champion to beat, it has to beat the trivial rules. The links lead to its pages.

# %%
first = late_flights.train("2013-02-08T00:00Z")
first

# %% [markdown]
# The next window is a matter for the schedule. `deploy` registers it with Prefect; here it is started by hand, about
# 15 February, and the worker runs it: ingest, score, monitor, decide.

# %%
deployed = late_flights.deploy(start="2030-01-04T00:00Z")
deployed

# %%
watched = late_flights.trigger("monitor", as_of="2013-02-15T00:00Z")
watched

# %% [markdown]
# A training a week later, beside the first one. The gate compares both models on the same rows, and the champion stays
# unless it is beaten.

# %%
second = late_flights.train("2013-02-15T00:00Z")
second.facts["action"], second.facts["reason"]

# %% [markdown]
# The runs as a table, straight from MLflow: nothing of what Incumbent writes there is a format of its own.

# %%
import mlflow

runs = mlflow.search_runs(experiment_names=["late-flights"], order_by=["attributes.start_time"])
compared = runs[
    ["tags.incumbent.as_of", "params.candidate", "params.rows", "metrics.brier", "metrics.brier of champion"]
]
compared

# %% [markdown]
# Why is the champion the champion? Every decision has a record, *hold* included.

# %%
late_flights.why()

# %%
late_flights.why(first.facts["decision"])

# %% [markdown]
# That was all. In a terminal, Ctrl-C does this.

# %%
up.terminate()
up.wait()

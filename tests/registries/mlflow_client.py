"""Fills an MLflow server by MLflow's own client, in MLflow's environment: JSON orders and answers, a line each."""

import json
import sys
import tempfile
from pathlib import Path

import mlflow
from mlflow import MlflowClient

client = MlflowClient()


def model(name, files, alias="", dataset=""):
    """Logs files as a run's artifacts and registers them."""
    with mlflow.start_run() as run, tempfile.TemporaryDirectory() as folder:
        if dataset:
            import pandas

            read = mlflow.data.from_pandas(pandas.DataFrame({"a": [1]}), name=dataset)
            mlflow.log_input(read, context="training")
        for path, text in files.items():
            (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / path).write_text(text)
        mlflow.log_artifacts(folder, "model")
    _made(client.create_registered_model, name)
    version = client.create_model_version(name, f"runs:/{run.info.run_id}/model", run.info.run_id).version
    if alias:
        client.set_registered_model_alias(name, alias, version)
    return {"version": version, "run": run.info.run_id}


def logged(name):
    """Logs and registers a model as MLflow 3 does, in one call."""

    class Echo(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input: list[str]):
            return model_input

    with mlflow.start_run():
        info = mlflow.pyfunc.log_model(
            name="echo", python_model=Echo(), registered_model_name=name, pip_requirements=[]
        )
    return {"version": str(info.registered_model_version)}


def elsewhere(name, source):
    """Registers what is in another store."""
    _made(client.create_registered_model, name)
    return {"version": client.create_model_version(name, source).version}


def prompt(name, template, alias="", **settings):
    version = mlflow.genai.register_prompt(name=name, template=template, **settings).version
    if alias:
        mlflow.genai.set_prompt_alias(name, alias, version)
    return {"version": str(version)}


def delete(name):
    client.delete_registered_model(name)


def _made(make, name):
    try:
        make(name)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


answers, sys.stdout = sys.stdout, sys.stderr
for line in sys.stdin:
    order = json.loads(line)
    done = globals()[order.pop("do")](**order)
    print(json.dumps(done), file=answers, flush=True)

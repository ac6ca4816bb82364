"""Starts the bank: `python -m examples.bank --port 8090 --data FOLDER`."""

import argparse
import os
from pathlib import Path

import uvicorn

from examples.bank.app import create_app

parser = argparse.ArgumentParser(prog="python -m examples.bank", description="A small bank's core system.")
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--port", type=int, default=8090)
parser.add_argument("--data", type=Path, required=True, help="folder for the database")
parser.add_argument(
    "--key", default=os.environ.get("BANK_API_KEY", "bank-demo-key"), help="API key (BANK_API_KEY; bank-demo-key)"
)

if __name__ == "__main__":
    given = parser.parse_args()
    uvicorn.run(create_app(given.data, given.key), host=given.host, port=given.port, log_level="warning")

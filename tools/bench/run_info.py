"""Where and when figures were measured, for the reports."""

import datetime
import subprocess

import torch


def run_info(sprue):
    """What a reader needs to judge the figures, as JSON has it."""
    return {
        "device": torch.cuda.get_device_name(),
        "driver": driver_version(),
        "pytorch": torch.__version__,
        "pytorch_cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "sprue": sprue.version(),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    }


def driver_version():
    try:
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"

"""Notebooks made for a test: code cells, the first tagged `parameters`."""

import nbformat

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def write_notebook(path, *sources, parameters="x: int = 1  # number; for tests", preface="# Toy\n\nA toy."):
    """Write a notebook with a preface, a parameters cell and one code cell per source; return its path."""
    first = nbformat.v4.new_code_cell(parameters)
    first.metadata.tags = ["parameters"]
    cells = [nbformat.v4.new_markdown_cell(preface), first, *map(nbformat.v4.new_code_cell, sources)]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def statuses(path):
    """Return papermill's status of each code cell of an executed notebook."""
    cells = nbformat.read(path, as_version=4).cells
    return [cell.metadata.papermill.status for cell in cells if cell.cell_type == "code"]
